// Programs that turn against the system below them, and then give the right output or a wrong one:
// the verdict is the one of the output alone, and nothing of them is left.
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/reward/code/sealed.h"
#include "tests/support/catch.h"

using namespace temper;
using namespace temper::test;

namespace {

namespace fs = std::filesystem;

// The sum of the numbers on the line.
const std::string kSums =
    R"json({"tests":[{"input":"2 3\n","output":"5\n"},{"input":"40 2\n","output":"42\n"}]})json";

struct Attack {
  const char* name;
  const char* program;   // before the output; `call(number, ...)` is a system call
  bool survives = true;  // whether it comes to the output
};

const std::string kTools = R"(
import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    words = [a if type(a) is bytes else ctypes.c_long(a) for a in arguments]
    return libc.syscall(ctypes.c_long(number), *words)
def attempt(work):
    try:
        return work()
    except Exception as error:
        return error
total = sum(map(int, input().split()))
)";

// By numbers of x86-64.
const Attack kAttacks[] = {
    {"reads the memory of all processes",
     "for p in ['self', 'thread-self'] + list(range(1, 300)):\n"
     "    assert isinstance(attempt(lambda: open('/proc/%s/mem' % p, 'rb')), OSError)"},
    {"mounts what would show processes",
     "assert call(165, b'proc', b'/tmp', b'proc', 0, 0) == -1\n"
     "assert call(430, b'proc', 0) == -1 and not os.path.exists('/tmp/self')"},
    {"opens the judge's pipes by name",
     "for n in range(64):\n    for p in ('/proc/self/fd/%d', '/dev/fd/%d'):\n"
     "        assert isinstance(attempt(lambda: os.open(p % n, os.O_RDWR)), OSError)"},
    {"writes to all descriptors that there may be",
     "for n in range(3, 1100):\n    attempt(lambda: os.write(n, b'5\\n42\\n'))"},
    {"reads its own output back and writes its input",
     "assert isinstance(attempt(lambda: os.read(1, 10)), OSError)\n"
     "assert isinstance(attempt(lambda: os.write(0, b'9 9')), OSError)\n"
     "assert isinstance(attempt(lambda: os.ftruncate(0, 0)), OSError)"},
    {"closes its output and opens another",
     "os.close(1)\nassert os.open('/tmp/out', os.O_WRONLY | os.O_CREAT) == 1", false},
    {"moves its output and brings it back",
     "kept = os.dup(1)\nos.close(1)\nos.dup2(kept, 1)\nos.close(kept)"},
    {"makes the pipe tiny, asynchronous and non-blocking",
     "import fcntl\nfor command, value in ((1031, 4096), (fcntl.F_SETFL, os.O_NONBLOCK | "
     "0o20000),\n"
     "                       (fcntl.F_SETOWN, 1), (fcntl.F_NOTIFY, 63)):\n"
     "    attempt(lambda: fcntl.fcntl(1, command, value))\nfcntl.fcntl(1, fcntl.F_SETFL, 0)"},
    {"looks for answers in the interpreter's objects",
     "import gc\nsys.settrace(lambda *a: None)\nf = sys._getframe()\nwhile f.f_back: f = f.f_back\n"
     "texts = [o for o in gc.get_objects() if isinstance(o, (str, bytes)) and '42' == str(o)]\n"
     "assert not texts and 'output' not in f.f_globals\nsys.settrace(None)"},
    {"walks through its memory until that ends it",
     "address = id(object())\nwhile True:\n    ctypes.string_at(address, 4096)\n    address += "
     "4096",
     false},
    {"signals the init above it", "for n in range(1, 65): attempt(lambda: os.kill(1, n))"},
    {"stops and kills the init",
     "for n in (signal.SIGSTOP, signal.SIGKILL):\n    for i in range(100): attempt(lambda: "
     "os.kill(1, n))"},
    {"signals its group, that of others, and everyone",
     "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
     "for p in (0, -1, -2, -os.getpgid(0)): attempt(lambda: os.kill(p, signal.SIGTERM))"},
    {"frees itself from its judge by prctl",
     "for option in (1, 4, 22, 23, 24, 36, 38, 47, 0x59616d61):\n"
     "    for value in (0, 1): call(157, option, value, 0, 0, 0)"},
    {"takes another personality", "assert call(135, 0x0040000) == -1"},
    {"clones itself into namespaces, or beside its parent",
     "for flags in (0x10000000, 0x20000000, 0x40000000, 0x20000, 0x2000000, 0x8000, 0x4000, 17,\n"
     "              0x100 | 17, 0x10000 | 0x20000000):\n"
     "    assert call(56, flags, 0, 0, 0, 0) == -1"},
    {"makes a ring of system calls", "assert call(425, 8, bytes(120)) == -1"},
    {"handles its own page faults", "assert call(323, 1) == -1"},
    {"keeps a secret with the kernel's keys",
     "assert call(248, b'user', b'expected', b'42', 2, -3) == -1\n"
     "assert call(249, b'user', b'expected', 0, -3) == -1 and call(250, 0, -3, 1) == -1"},
    {"wants a core file",
     "import resource\nattempt(lambda: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)))\n"
     "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\nos.abort()",
     false},
    {"raises its limits",
     "import resource\nfor n in range(16):\n"
     "    hard = resource.getrlimit(n)[1]\n"
     "    if hard != -1: assert isinstance(attempt(lambda: resource.setrlimit(n, (hard, hard + "
     "1))),\n"
     "                                     (ValueError, OSError))"},
    {"makes a file of a terabyte",
     "f = os.open('/tmp/huge', os.O_RDWR | os.O_CREAT)\n"
     "for work in (lambda: os.ftruncate(f, 1 << 40), lambda: os.pwrite(f, b'x', 1 << 40),\n"
     "             lambda: os.posix_fallocate(f, 0, 1 << 40)):\n"
     "    assert isinstance(attempt(work), OSError)"},
    {"uses up all inodes, in depth and width",
     "def fill():\n    for i in range(10000):\n        os.mkdir('d')\n        os.chdir('d')\n"
     "        open('f', 'w').close()\nassert isinstance(attempt(fill), OSError)"},
    {"watches files", "assert call(253) == -1 and call(294, 0) == -1 and call(300, 0, 0) == -1"},
    {"talks by an abstract socket",
     "import socket\nassert isinstance(attempt(lambda: socket.socket(socket.AF_UNIX)), OSError)\n"
     "assert call(41, 1, 1, 0) == -1 and call(53, 1, 1, 0, bytes(8)) == -1"},
    {"runs a file of memory", "assert call(319, b'x', 0) == -1 and call(447, 0) == -1"},
    {"traces its siblings and itself",
     "for p in range(0, 50):\n    assert call(101, 16, p, 0, 0) == -1 and call(101, 0x4206, p, 0, "
     "0) == -1"
     "\n    assert call(310, p, bytes(16), 1, bytes(16), 1, 0) == -1"},
    {"takes handles of processes and of their files",
     "for p in range(0, 50): assert call(434, p, 0) == -1 and call(438, p, 1, 0) == -1"},
    {"forks twice into a session of its own",
     "attempt(os.setsid)\n"
     "for fork in (os.fork, lambda: call(57), lambda: call(58), lambda: call(435, bytes(88), "
     "88)):\n"
     "    r = attempt(fork)\n    assert isinstance(r, OSError) or r == -1"},
    {"makes devices and opens what could be one",
     "for mode in (0o060666, 0o020666): assert call(133, b'/tmp/dev', mode, 0x101) == -1\n"
     "for p in ('/dev/mem', '/dev/kmsg', '/dev/tty', '/dev/ptmx', '/dev/shm/x', '/sys/x', "
     "'/dev/stdin'):\n"
     "    assert isinstance(attempt(lambda: os.open(p, os.O_RDWR)), OSError)"},
    {"leaves the root",
     "assert call(161, b'/tmp') == -1 and call(155, b'/tmp', b'/tmp') == -1\n"
     "for i in range(50): os.chdir('..')\nassert 'usr' in os.listdir('.') and 'home' not in "
     "os.listdir('.')"},
    {"becomes another program that says nothing", "os.execv('/usr/bin/true', ['true'])", false},
    {"becomes a shell that starts others",
     "os.execv('/bin/sh', ['sh', '-c', '(sleep 100 &) ; exit 0'])", false},
    {"maps and locks all memory",
     "assert call(149, 0, 1 << 40) == -1 and call(151, 3) == -1 and call(29, 0, 1 << 40, 0o1666) "
     "== -1\n"
     "import mmap\nassert isinstance(attempt(lambda: mmap.mmap(-1, 1 << 40)), Exception)"},
    {"takes the processor for itself",
     "for policy in (1, 2, 6): call(144, 0, policy, (1).to_bytes(4, 'little'))\n"
     "call(141, 0, 0, -20)\ncall(203, 0, 8, b'\\1' + bytes(7))"},
    {"is flooded by timers",
     "signal.signal(signal.SIGALRM, lambda *a: None)\nsignal.setitimer(signal.ITIMER_REAL, 1e-5, "
     "1e-5)\n"
     "for i in range(20000): pass\nsignal.setitimer(signal.ITIMER_REAL, 0)"},
    {"writes a flood of errors", "for i in range(300): os.write(2, b'5\\n42\\n' * 1000)"},
    {"prints the right beginning and breaks down",
     "print(str(total)[0], end='', flush=True)\nctypes.string_at(0)", false},
    {"ends its first thread alone",
     "libc.pthread_exit.argtypes = [ctypes.c_void_p]\n"
     "import threading\nthreading.Thread(target=time.sleep, "
     "args=(0.2,)).start()\nlibc.pthread_exit(None)",
     false},
    {"ignores what ends others",
     "for n in range(1, 65):\n    if n not in (9, 19, 32, 33): attempt(lambda: signal.signal(n, "
     "signal.SIG_IGN))"},
};

std::string program_of(const Attack& attack, const std::string& output) {
  return kTools + attack.program + "\nprint(" + output + ")\n";
}

// Names in a folder that begin so.
std::set<std::string> names_in(const fs::path& folder, const std::string& beginning = "") {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(beginning)) names.insert(name);
  }
  return names;
}

// Processes below this one, at any depth.
int descendants(const std::string& process) {
  int count = 0;
  std::ifstream file("/proc/" + process + "/task/" + process + "/children");
  for (std::string child; file >> child;) count += 1 + descendants(child);
  return count;
}

std::string mounts() {
  std::ifstream file("/proc/self/mountinfo");
  return {std::istreambuf_iterator<char>(file), {}};
}

// What a judgement could leave behind.
struct Surroundings {
  std::set<std::string> files = names_in(fs::temp_directory_path(), "temper-code-");
  size_t descriptors = names_in("/proc/self/fd").size();
  int processes = descendants(std::to_string(getpid()));
  std::string mounted = mounts();
};

}  // namespace

#ifdef __x86_64__
TEST_CASE("code: no attack on the system changes a verdict or leaves anything behind") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}, {"at_once", "1"}, {"seconds", "3"}});
  if (!rule) return;
  REQUIRE(judge_python(*rule, kTools + "print(total)", kSums).status == VerdictStatus::ok);
  const Surroundings before;
  for (const Attack& attack : kAttacks) {
    const Verdict right = judge_python(*rule, program_of(attack, "total"), kSums);
    INFO(attack.name << ": " << right.reason);
    CHECK(right.status == (attack.survives ? VerdictStatus::ok : VerdictStatus::wrong));
    if (!attack.survives) continue;
    const Verdict wrong = judge_python(*rule, program_of(attack, "total + 1"), kSums);
    CHECK(wrong.status == VerdictStatus::wrong);
    CHECK(wrong.value == 0.0);
  }
  const Surroundings after;
  CHECK(after.files == before.files);
  CHECK(after.descriptors == before.descriptors);
  CHECK(after.processes == before.processes);
  CHECK(after.mounted == before.mounted);
  CHECK(judge_python(*rule, kTools + "print(total)", kSums).status == VerdictStatus::ok);
}

TEST_CASE("code: no attack from C++, compiled or while it is compiled, changes a verdict") {
  const auto rule = sealed_rule({{"at_once", "1"}, {"seconds", "3"}, {"language", "cpp"}});
  if (!rule) return;
  const auto judge = [&](const std::string& text) {
    const Json row = parse_json(kSums, "row");
    const std::string completion = "```cpp\n" + text + "\n```";
    return rule->score({.completion = completion, .row = &row});
  };
  const std::string sum = "#include <cstdio>\n#include <cstdlib>\n#include <unistd.h>\n";
  const std::string reads = "int a, b; scanf(\"%d %d\", &a, &b); ";
  const Surroundings before;
  CHECK(judge(sum + "int main() { " + reads + "printf(\"%d\", a + b); }").status ==
        VerdictStatus::ok);
  const std::string tricks[] = {
      // The right output, and then what is no success.
      sum + "int main() { " + reads + "printf(\"%d\\n\", a + b); fflush(stdout); *(int*)8 = 1; }",
      sum + "int main() { " + reads + "printf(\"%d\\n\", a + b); fflush(stdout); _exit(1); }",
      sum + "struct A { ~A() { _exit(3); } } a_;\nint main() { " + reads +
          "printf(\"%d\\n\", a + b); }",
      sum +
          "int f(int x) { volatile char c[4096]; c[0] = 1; return f(x + 1) + c[0]; }\n"
          "int main() { " +
          reads + "printf(\"%d\\n\", a + b); fflush(stdout); return f(0); }",
      // The system calls of a 32-bit program: fork, by another number.
      sum + "int main() { " + reads +
          "printf(\"%d\\n\", a + b); fflush(stdout);\n"
          "long r; asm volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(2)); return r != 0; }",
      // Before main.
      sum + "__attribute__((constructor)) void early() { puts(\"5\"); _exit(0); }\nint main() {}",
      // While it is compiled: files of the machine, endless ones, endless templates, a huge image.
      "#include \"/etc/passwd\"\nint main() {}",
      "asm(\".incbin \\\"/etc/shadow\\\"\");\nint main() {}",
      "#include \"/dev/zero\"\nint main() {}",
      "template <int N> struct T { static const int v = T<N + 1>::v; };\nint main() { return "
      "T<0>::v; }",
      "char huge[300 << 20] = {1};\nint main() {}",
  };
  for (const std::string& text : tricks) {
    const Verdict verdict = judge(text);
    INFO(text << "\n" << verdict.reason);
    CHECK((verdict.status == VerdictStatus::wrong || verdict.status == VerdictStatus::timeout));
    CHECK(verdict.value == 0.0);
  }
  const Surroundings after;
  CHECK(after.files == before.files);
  CHECK(after.descriptors == before.descriptors);
  CHECK(after.processes == before.processes);
}
#endif
