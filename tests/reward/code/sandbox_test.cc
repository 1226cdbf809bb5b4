// The sandbox itself, met by programs that try to get out, to stay, or to take everything.
#include "reward/code/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "core/file.h"
#include "reward/code/run.h"
#include "tests/reward/code/sealed.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;
using namespace temper::test;

namespace {

constexpr RunLimits kShort{.cpu_seconds = 2, .wall_seconds = 10};

RunResult run_python(const ProgramStarter& starter, const std::string& text,
                     const RunLimits& limits = kShort,
                     ProcessRights rights = ProcessRights::threads) {
  SandboxProgram program{.arguments = {"/usr/bin/python3", "-S", "-s", "-B", "main.py"}};
  program.files = {{"main.py", text}};
  program.rights = rights;
  return run_to_end(starter, program, "", limits);
}

// What a program may not do it may not do in either way of starting it.
SealedPython either_way() {
  return sealed_python(GENERATE(false, true));
}

// Of a program that prints what happened to it.
std::string said(const RunResult& run) {
  INFO(run.errors);
  CHECK(run.outcome == RunOutcome::finished);
  return run.output;
}

// How many processes of this machine have `word` in their command line.
int processes_with(const std::string& word) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    const std::string line((std::istreambuf_iterator<char>(file)), {});
    if (line.find(word) != std::string::npos && entry.path().filename() != "self") ++count;
  }
  return count;
}

const std::string kTry = R"(
def attempt(name, work):
    try:
        print(name, 'worked', work())
    except BaseException as e:
        print(name, 'failed', type(e).__name__)
import os
)";

}  // namespace

TEST_CASE("sandbox: a program sees nothing of the machine but /usr and a private folder") {
  const SealedPython python = either_way();
  if (!python.sandbox) return;
  const std::string out = said(run_python(python.starter(), kTry + R"(
print(sorted(os.listdir('/')))
print(os.getcwd(), sorted(os.listdir('.')), os.getpid(), os.getuid(), os.uname().nodename)
print(open('/etc/passwd').read().count('\n'), os.path.exists('/proc/self'), os.path.exists('/sys'))
print(sorted(os.listdir('/dev')))
print(sorted(k for k in os.environ))
)"));
  CHECK_THAT(out, Contains("['bin', 'dev', 'etc', 'lib"));
  CHECK_THAT(out, !Contains("home") && !Contains("root") && !Contains("work"));
  CHECK_THAT(out, Contains("/tmp ['main.py'] 2 65534 sandbox"));
  CHECK_THAT(out, Contains("\n1 False False\n"));
  CHECK_THAT(out, Contains("['null', 'random', 'urandom', 'zero']"));
  CHECK_THAT(out, !Contains("USER") && !Contains("SSH") && !Contains("TEMPER"));
}

TEST_CASE("sandbox: a file of this process's folder cannot be read, by any way to its name") {
  const SealedPython python = either_way();
  if (!python.sandbox) return;
  const TemporaryFolder folder;
  const std::string secret = folder.path() / "expected.txt";
  std::ofstream(secret) << "the expected output";
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  const std::string out =
      said(run_python(python.starter(), kTry + "secret = '" + secret + "'\n" + R"(
attempt('open', lambda: open(secret).read())
os.symlink(secret, 'link')
attempt('symlink', lambda: open('link').read())
attempt('up', lambda: open('../../../../../../..' + secret).read())
attempt('hard link', lambda: os.link(secret, 'hard'))
attempt('proc', lambda: open('/proc/1/root' + secret).read())
attempt('memory', lambda: open('/proc/%d/mem' % os.getppid()).read())
for number in range(3, 64):
    try:
        os.fstat(number)
        print('descriptor', number, 'worked')
    except OSError:
        pass
)"));
  CHECK_THAT(out, Contains("open failed") && Contains("proc failed") && !Contains("worked"));
}

TEST_CASE("sandbox: nothing can be written outside the private folder, and little inside") {
  const SealedPython python = either_way();
  if (!python.sandbox) return;
  const std::string out = said(run_python(
      python.starter(), kTry + R"(
for path in ('/x', '/usr/x', '/usr/bin/python3', '/etc/passwd', '/dev/x', '/lib/x', '/bin/x'):
    attempt(path, lambda: open(path, 'w'))
attempt('mkdir', lambda: os.mkdir('/d'))
attempt('chmod', lambda: os.chmod('/dev/null', 0))
attempt('remove', lambda: os.remove('/etc/passwd'))
os.symlink('/usr', 'usr')
attempt('through a link', lambda: open('usr/x', 'w'))
def fill():
    for i in range(100):
        with open('f%d' % i, 'wb') as f:
            f.write(bytes(8 << 20))
attempt('fill', fill)
)",
      {.cpu_seconds = 5, .wall_seconds = 30, .memory_bytes = 512 << 20, .disk_bytes = 32 << 20}));
  CHECK_THAT(out, !Contains("worked"));
  CHECK_THAT(out, Contains("fill failed OSError") && Contains("through a link failed"));
}

TEST_CASE("sandbox: no network, not even to this machine") {
  const SealedPython python = either_way();
  if (!python.sandbox) return;
  const Descriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(listen(listener.get(), 1) == 0);
  REQUIRE(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const std::string port = std::to_string(ntohs(address.sin_port));
  const std::string out = said(run_python(python.starter(), kTry + "port = " + port + R"(
import socket
attempt('connect', lambda: socket.create_connection(('127.0.0.1', port), timeout=1))
attempt('listen', lambda: socket.socket().listen())
attempt('unix', lambda: socket.socket(socket.AF_UNIX))
attempt('netlink', lambda: socket.socket(socket.AF_NETLINK))
attempt('pair', lambda: socket.socketpair())
)"));
  CHECK_THAT(out, !Contains("worked") && Contains("connect failed") && Contains("pair failed"));
}

TEST_CASE("sandbox: the calls that lead out of it are refused") {
  const SealedPython python = either_way();
  if (!python.sandbox) return;
    // By number, for x86-64 alone; elsewhere the filter is the same by name.
#ifdef __x86_64__
  const std::string out = said(run_python(python.starter(), kTry + R"(
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
calls = {'ptrace': 101, 'process_vm_readv': 310, 'mount': 165, 'umount2': 166, 'pivot_root': 155,
         'chroot': 161, 'unshare': 272, 'setns': 308, 'keyctl': 250, 'bpf': 321, 'fork': 57,
         'vfork': 58, 'userfaultfd': 323, 'io_uring_setup': 425, 'perf_event_open': 298,
         'clone3': 435, 'setuid': 105, 'memfd_create': 319, 'open_by_handle_at': 304,
         'pidfd_open': 434, 'open_tree': 428, 'move_mount': 429, 'add_key': 248, 'seccomp': 317}
for name, number in calls.items():
    result = libc.syscall(number, 0, 0, 0, 0, 0, 0)
    print(name, 'failed' if result == -1 and ctypes.get_errno() in (1, 38) else 'worked')
PR_SET_PDEATHSIG, CLONE_NEWUSER, TIOCSTI = 1, 0x10000000, 0x5412
print('death signal', 'failed' if libc.prctl(PR_SET_PDEATHSIG, 0) == -1 else 'worked')
print('namespace', 'failed' if libc.syscall(56, CLONE_NEWUSER | 17, 0, 0, 0, 0) == -1 else 'worked')
print('terminal', 'failed' if libc.ioctl(0, TIOCSTI, b'x') == -1 else 'worked')
)"));
  CHECK_THAT(out, !Contains("worked") && Contains("ptrace failed") && Contains("namespace failed"));
  // The numbers of another calling convention end the program.
  const RunResult other =
      run_python(python.starter(), "import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)");
  CHECK(other.end.code == SIGSYS);
#endif
}

TEST_CASE("sandbox: a fork bomb makes no process, or is ended with all of them") {
  const SealedPython python = either_way();
  if (!python.sandbox) return;
  CHECK_THAT(said(run_python(python.starter(), kTry + "attempt('fork', os.fork)")),
             Contains("fork failed PermissionError"));
  // Where processes are allowed, as to a compiler: they are few, and end with the first.
  const std::string mark = "bomb-" + std::to_string(getpid());
  const RunResult run =
      run_python(*python.sandbox,
                 R"(
import os, sys
if len(sys.argv) < 2:
    os.execv('/usr/bin/python3', ['python3', '-S', 'main.py', ')" +
                     mark + R"('])
while True:
    try:
        os.fork()
    except OSError:
        pass
)",
                 {.cpu_seconds = 30, .wall_seconds = 1, .threads = 32}, ProcessRights::processes);
  CHECK(run.outcome == RunOutcome::timeout);
  CHECK(processes_with(mark) == 0);
}

TEST_CASE("sandbox: a daemon does not outlive the program that started it") {
  const auto sandbox = sealed_sandbox();
  if (!sandbox) return;
  const std::string mark = "daemon-" + std::to_string(getpid());
  const auto start = std::chrono::steady_clock::now();
  const RunResult run = run_python(*sandbox,
                                   R"(
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.execv('/bin/sh', ['sh', '-c', 'while :; do sleep 1; done # )" +
                                       mark + R"('])
    os._exit(0)
time.sleep(0.3)
print('done', flush=True)
)",
                                   kShort, ProcessRights::processes);
  CHECK(run.output == "done\n");
  CHECK(run.outcome == RunOutcome::finished);
  CHECK(processes_with(mark) == 0);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(8));
}

TEST_CASE("sandbox: memory, time, output and threads have limits") {
  const SealedPython python = either_way();
  if (!python.sandbox) return;
  CHECK_THAT(
      said(run_python(python.starter(), kTry + "attempt('memory', lambda: bytearray(4 << 30))")),
      Contains("memory failed MemoryError"));
  const RunResult grown =
      run_python(python.starter(), "x = []\nwhile True: x.append(bytearray(1 << 20))",
                 {.cpu_seconds = 10, .wall_seconds = 30});
  CHECK(grown.outcome == RunOutcome::finished);
  CHECK_FALSE((grown.end.exited && grown.end.code == 0));
  CHECK(grown.end.peak_bytes < 600LL << 20);

  const RunResult asleep = run_python(python.starter(), "import time\ntime.sleep(60)",
                                      {.cpu_seconds = 5, .wall_seconds = 0.5});
  CHECK(asleep.outcome == RunOutcome::timeout);
  CHECK(asleep.wall_seconds < 5.0);

  const RunResult busy = run_python(python.starter(), R"(
import signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
while True: pass
)",
                                    {.cpu_seconds = 1, .wall_seconds = 60});
  CHECK(busy.outcome == RunOutcome::timeout);
  CHECK(busy.end.cpu_microseconds < 2000000);

  const RunResult endless =
      run_python(python.starter(), "import os\nwhile True: os.write(1, b'x' * 65536)",
                 {.cpu_seconds = 10, .wall_seconds = 30, .output_bytes = 1 << 20});
  CHECK(endless.outcome == RunOutcome::output_limit);
  CHECK(endless.output.size() == 1 << 20);
  const RunResult noisy =
      run_python(python.starter(), "import os\nfor i in range(100): os.write(2, b'x' * 65536)");
  CHECK(noisy.errors.size() <= 4096);

  const std::string threads = said(run_python(python.starter(), kTry + R"(
import threading, time
threading.stack_size(65536)
def many():
    for i in range(10000):
        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()
attempt('threads', many)
)"));
  CHECK_THAT(threads, Contains("threads failed RuntimeError"));
}

TEST_CASE("sandbox: one program cannot reach another, or what it left") {
  const SealedPython python = either_way();
  if (!python.sandbox) return;
  REQUIRE(said(run_python(python.starter(), "open('/tmp/left', 'w').write('x')\nprint(1)")) ==
          "1\n");
  CHECK(said(run_python(python.starter(), "import os\nprint(os.path.exists('/tmp/left'))")) ==
        "False\n");
  SandboxProgram sleeper{.arguments = {"/bin/sleep", "30"}};
  RunningProgram other = python.sandbox->start(sleeper, kShort);
  const std::string out = said(run_python(python.starter(), kTry + R"(
import signal
for number in range(2, 3000):
    try:
        os.kill(number, signal.SIGKILL)
        print('worked', number)
    except OSError:
        pass
attempt('all', lambda: os.kill(-1, signal.SIGKILL))
)"));
  CHECK_THAT(out, !Contains("worked"));
  other.kill();
  CHECK(other.wait().code == SIGKILL);
}

TEST_CASE("sandbox: a killed judge takes its programs with it") {
  const auto sandbox = sealed_sandbox();
  if (!sandbox) return;
  const std::string mark = "orphan-" + std::to_string(getpid());
  const pid_t judge = fork();
  if (judge == 0) {
    const Sandbox own({});
    SandboxProgram program{.arguments = {"/bin/sh", "-c", "while :; do sleep 1; done # " + mark}};
    program.rights = ProcessRights::processes;
    RunningProgram running = own.start(program, {.cpu_seconds = 60, .wall_seconds = 60});
    pause();
  }
  for (int i = 0; i < 200 && processes_with(mark) == 0; ++i) usleep(20000);
  CHECK(processes_with(mark) > 0);
  kill(judge, SIGKILL);
  waitpid(judge, nullptr, 0);
  for (int i = 0; i < 200 && processes_with(mark) > 0; ++i) usleep(20000);
  CHECK(processes_with(mark) == 0);
}

TEST_CASE("sandbox: signals and exits are told apart, and descriptors are not leaked") {
  const SealedPython python = either_way();
  if (!python.sandbox) return;
  const RunResult left = run_python(python.starter(), "import sys\nsys.exit(3)");
  CHECK(left.end.exited);
  CHECK(left.end.code == 3);
  CHECK_THAT(failure_of(left), Contains("exit code 3"));
  const RunResult crashed = run_python(python.starter(), "import ctypes\nctypes.string_at(0)");
  CHECK_FALSE(crashed.end.exited);
  CHECK(crashed.end.code == SIGSEGV);
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const auto before = descriptors();
  for (int i = 0; i < 20; ++i) run_python(python.starter(), "");
  CHECK(descriptors() == before);
}

TEST_CASE("sandbox: without its layers there still are limits and the list of calls") {
  if (!has_python()) return;
  const Sandbox open({.sealed = false});
  CHECK(open.fault().empty());
  const std::string out = said(run_python(open, kTry + R"(
attempt('fork', os.fork)
attempt('memory', lambda: bytearray(4 << 30))
print(os.path.basename(os.getcwd()).startswith('temper-code-'))
)"));
  CHECK_THAT(out, Contains("fork failed") && Contains("memory failed") && Contains("True"));
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::temp_directory_path())) {
    CHECK_FALSE(entry.path().filename().string().starts_with("temper-code-"));
  }
}
