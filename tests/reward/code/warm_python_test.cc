// Programs that are forked from a started interpreter: they get what a fresh one would have, and
// leave nothing for the next one.
#include "reward/code/warm_python.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "reward/code/judge.h"
#include "reward/code/run.h"
#include "tests/reward/code/sealed.h"
#include "tests/support/catch.h"

using namespace temper;
using namespace temper::test;

namespace {

constexpr RunLimits kShort{.cpu_seconds = 5, .wall_seconds = 20};

RunResult run_python(const ProgramStarter& starter, const std::string& text,
                     const std::string& input = "") {
  SandboxProgram program{.arguments = {"/usr/bin/python3", "-S", "-s", "-B", "main.py"}};
  program.files = {{"main.py", text}};
  return run_to_end(starter, program, input, kShort);
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The interpreters that fork, children of process `parent`.
std::vector<pid_t> interpreters(pid_t parent = getpid()) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string status = text_of(entry.path() / "status");
    if (text_of(entry.path() / "cmdline").find("warm_python.py") == std::string::npos) continue;
    if (status.find("\nPPid:\t" + std::to_string(parent) + "\n") == std::string::npos) continue;
    found.push_back(std::stoi(entry.path().filename().string()));
  }
  return found;
}

// Whether the memory that a process may write to holds `mark`; empty if it cannot be read.
std::optional<bool> memory_holds(pid_t process, const std::string& mark) {
  const std::string folder = "/proc/" + std::to_string(process);
  std::ifstream maps(folder + "/maps"), memory(folder + "/mem", std::ios::binary);
  if (!maps || !memory) return std::nullopt;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0;
    char rights[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) != 3) continue;
    if (rights[1] != 'w') continue;
    std::string bytes(end - begin, '\0');
    memory.clear();
    memory.seekg(static_cast<std::streamoff>(begin));
    memory.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (bytes.find(mark) != std::string::npos) return true;
  }
  return false;
}

const char* const kReport = R"(
import sys
modules = sorted(sys.modules)
import os, signal, gc, resource, threading, time
def streams():
    for s in (sys.stdin, sys.stdout, sys.stderr):
        yield (s.encoding, s.errors, s.line_buffering, s.write_through, s.newlines, s.name, s.mode,
               s.fileno(), s.isatty(), s.seekable(), s.closed, s is sys.__stdin__)
for line in (modules, sys.path, sys.argv, sys.orig_argv, sys.flags, sys.meta_path, sys.path_hooks,
             sys.getrecursionlimit(), sys.getswitchinterval(), list(streams()), sorted(os.environ),
             os.getcwd(), os.listdir('.'), os.getpid(), os.getppid(), os.getpgid(0), os.getsid(0),
             os.getresuid(), os.getresgid(), os.getgroups(), os.uname().nodename, os.umask(0),
             [signal.getsignal(n) for n in range(1, 65) if n not in (32, 33)],
             signal.pthread_sigmask(signal.SIG_BLOCK, ()), gc.get_threshold(), gc.isenabled(),
             [(n, resource.getrlimit(getattr(resource, n))) for n in dir(resource)
              if n.startswith('RLIMIT_')],
             sorted(k for k in globals() if k.startswith('__')), __file__, __name__,
             __loader__.path, __builtins__, hash('x'), threading.main_thread().name,
             threading.active_count(), os.stat('main.py').st_mode, os.stat('.').st_mode,
             os.statvfs('.').f_blocks, open('main.py').read(20), sys.stdin.read()):
    print(str(line).replace(hex(id(__loader__)), ''))
try:
    sys._getframe(2)
except ValueError:
    print('no frames but its own and the one that runs it')
)";

}  // namespace

TEST_CASE("warm python: a program finds what a fresh interpreter has") {
  const SealedPython warm = sealed_python(true);
  if (!warm.sandbox) return;
  REQUIRE(warm.warm->fault().empty());
  std::istringstream fresh(run_python(*warm.sandbox, kReport, "7 8\n").output);
  std::istringstream forked(run_python(*warm.warm, kReport, "7 8\n").output);
  int lines = 0;
  for (std::string wanted, found; std::getline(fresh, wanted); ++lines) {
    std::getline(forked, found);
    // Addresses of built-in objects are random in either.
    const auto address = [](std::string& text) {
      for (size_t at = 0; (at = text.find(" at 0x", at)) != std::string::npos;) {
        text.erase(at, text.find_first_of(">,]", at) - at);
      }
    };
    address(wanted);
    address(found);
    CHECK(found == wanted);
  }
  CHECK(lines > 40);
}

TEST_CASE("warm python: exits, errors and what runs at the end are as ever") {
  const SealedPython warm = sealed_python(true);
  if (!warm.sandbox) return;
  for (const char* program :
       {"print(1)", "raise SystemExit(3)", "raise ValueError('x')", "print(",
        "import os\nos._exit(4)", "import atexit\natexit.register(print, 'late')\nprint('early')",
        "class A:\n    def __del__(self): print('gone')\na = A()",
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), "
        "print(2))).start()",
        "import os\nos.abort()", "import os, signal\nsignal.raise_signal(signal.SIGTERM)",
        "import sys\nsys.stdout.close()", "def f(): f()\nf()", "x: int = 1\nprint(__annotations__)",
        "import ctypes, socket, struct, random, decimal\nprint(ctypes.sizeof(ctypes.c_long))",
        "\xef\xbb\xbfprint('\xc3\xa4')", "# coding: latin-1\nprint('\xe4')", "print('\\ud800')",
        "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))))"}) {
    const RunResult fresh = run_python(*warm.sandbox, program);
    const RunResult forked = run_python(*warm.warm, program);
    INFO(program << "\n" << fresh.errors << "\n" << forked.errors);
    CHECK(forked.output == fresh.output);
    CHECK(forked.outcome == fresh.outcome);
    CHECK(forked.end.exited == fresh.end.exited);
    CHECK(forked.end.code == fresh.end.code);
    CHECK(failure_of(forked) == failure_of(fresh));
  }
}

TEST_CASE("warm python: nothing that a program does reaches the next one") {
  const SealedPython warm = sealed_python(true);
  if (!warm.sandbox) return;
  REQUIRE(run_python(*warm.warm, "print(1)").output == "1\n");
  const std::vector<pid_t> before = interpreters();
  REQUIRE(before.size() == 1);
  const RunResult vandal = run_python(*warm.warm, R"(
import builtins, ctypes, gc, os, posix, signal, sys
open('/tmp/left', 'w').write('x')
for number in range(3, 64):
    try:
        os.fstat(number)
        print('descriptor', number)
    except OSError:
        pass
os.kill(1, signal.SIGKILL)  # the init above it: the kernel lets nothing within end it
for number in [n for n in range(2, 3000) if n != os.getpid()] + [-1]:
    try:
        os.kill(number, signal.SIGKILL)
        print('killed', number)
    except OSError:
        pass
print(os.path.exists('/proc/1'), ctypes.CDLL(None).ptrace(16, 1, 0, 0), os.getppid())
# Every object of the interpreter, by memory and by name.
ctypes.memset(id('a') + 16, 1, 8)
ctypes.memset(id(7) + 24, 9, 4)
gc.freeze()
for module in list(sys.modules.values()):
    vars(module)['mark'] = 'a mark of the vandal'
posix.fork = posix.write = posix.read = None
builtins.print('a mark of the vandal', flush=True)
builtins.print = builtins.compile = None
sys.modules.clear()
os._exit(0)
)");
  CHECK(vandal.output == "False -1 0\na mark of the vandal\n");
  const RunResult next = run_python(*warm.warm, R"(
import os, sys
print(7 + 0, 'a', hash('a') == hash(chr(97)), os.path.exists('/tmp/left'),
      [m for m in sys.modules.values() if hasattr(m, 'mark')])
)");
  CHECK(next.output == "7 a True False []\n");
  CHECK(interpreters() == before);
  // The forking interpreter has not seen the program, and shares no memory that can be written.
  const std::optional<bool> seen = memory_holds(before[0], "a mark of the vandal");
  CHECK_FALSE(seen.value_or(false));
  const std::string maps = text_of("/proc/" + std::to_string(before[0]) + "/maps");
  CHECK_THAT(maps, !Contains("rw-s") && !Contains("rwxs") && !Contains("-w-s"));
}

TEST_CASE("warm python: a dead interpreter is an error and not a verdict; then there is another") {
  const SealedPython warm = sealed_python(true);
  if (!warm.sandbox) return;
  SandboxProgram program;
  program.files = {{"main.py", "import time\ntime.sleep(60)"}};
  RunningProgram running = warm.warm->start(program, kShort);
  const std::vector<pid_t> alive = interpreters();
  REQUIRE(alive.size() == 1);
  kill(alive[0], SIGKILL);
  CHECK_THROWS_AS(running.wait(), SystemError);  // and does not wait for the minute
  CHECK(run_python(*warm.warm, "print(1)").output == "1\n");
  // One that dies while it waits is replaced in silence.
  for (const pid_t each : interpreters()) kill(each, SIGKILL);
  const auto waits = [] {  // one that has not ended yet
    for (const pid_t each : interpreters())
      if (text_of("/proc/" + std::to_string(each) + "/status").find("State:\tZ") ==
          std::string::npos)
        return true;
    return false;
  };
  for (int i = 0; i < 400 && waits(); ++i) usleep(5000);
  CHECK(run_python(*warm.warm, "print(2)").output == "2\n");
}

TEST_CASE("warm python: a killed judge takes its interpreters and programs with it") {
  if (!sealed_sandbox()) return;
  const pid_t judge = fork();
  if (judge == 0) {
    const SealedPython own = sealed_python(true);
    SandboxProgram program;
    program.files = {{"main.py", "import time\ntime.sleep(60)"}};
    RunningProgram running = own.warm->start(program, {.cpu_seconds = 60, .wall_seconds = 60});
    pause();
  }
  // The forking interpreter has one child, once the program runs.
  std::vector<pid_t> alive;
  std::string children;
  for (int i = 0; i < 400 && children.empty(); ++i) {
    usleep(20000);
    alive = interpreters(judge);
    if (alive.empty()) continue;
    const std::string task = std::to_string(alive[0]);
    children = text_of("/proc/" + task + "/task/" + task + "/children");
  }
  REQUIRE_FALSE(children.empty());
  kill(judge, SIGKILL);
  waitpid(judge, nullptr, 0);
  const auto gone = [](pid_t process) {
    const std::string status = text_of("/proc/" + std::to_string(process) + "/status");
    return status.empty() || status.find("State:\tZ") != std::string::npos;
  };
  for (int i = 0; i < 200 && !(gone(alive[0]) && gone(std::stoi(children))); ++i) usleep(20000);
  CHECK(gone(alive[0]));
  CHECK(gone(std::stoi(children)));
}

TEST_CASE("warm python: where the interpreter cannot be started, the reason is known") {
  const auto sandbox = sealed_sandbox();
  if (!sandbox) return;
  const WarmPython none(*sandbox, {"/usr/bin/true"}, {});
  CHECK_THAT(none.fault(), Contains("the interpreter ended"));
  CHECK(CodeJudge(*sandbox, {}).cold_reason().empty());
  CHECK(CodeJudge(*sandbox, {.warm = false}).cold_reason() == "by request");
}
