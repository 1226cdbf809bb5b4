// Answers that want a good verdict without a right program: none gets it.
#include "core/thread_pool.h"
#include "core/utf8.h"
#include "tests/reward/code/sealed.h"
#include "tests/support/catch.h"

using namespace temper;
using namespace temper::test;

namespace {

// Tests of add(a, b), in both forms.
const std::string kAssertions = R"json({"test_list":[
  "assert add(2, 3) == 5", "assert add(-1, 1) == 0", "assert add(10, 20) == 30"]})json";
const std::string kCheck =
    R"json({"entry_point":"add","prompt":"def add(a, b):\n    \"\"\"Sum.\"\"\"\n",)json"
    R"json("test":"def check(candidate):\n    assert candidate(2, 3) == 5\n)json"
    R"json(    assert candidate(-1, 1) == 0\n"})json";
// Echo the sum of the numbers on the line, twice.
const std::string kStreams = R"json({"tests":[
  {"input":"2 3\n","output":"5\n5\n"}, {"input":"10 20\n","output":"30\n30\n"}]})json";

struct Trick {
  const char* name;
  const char* program;
};

const Trick kCallTricks[] = {
    {"exit at once", "import os\nos._exit(0)"},
    {"exit when called", "import os\ndef add(a, b): os._exit(0)"},
    {"exit after a right value",
     "import os\nn = 0\ndef add(a, b):\n    global n\n    n += 1\n"
     "    if n > 1: os._exit(0)\n    return a + b"},
    {"raise SystemExit", "raise SystemExit(0)"},
    {"SystemExit when called", "import sys\ndef add(a, b): sys.exit(0)"},
    {"an object equal to all",
     "class A:\n    def __eq__(self, o): return True\n    def __bool__(self): return True\n"
     "    def __ne__(self, o): return False\n    def __hash__(self): return 0\n"
     "def add(a, b): return A()"},
    {"a number equal to all",
     "class A(int):\n    def __eq__(self, o): return True\n    def __pos__(self): return 5\n"
     "def add(a, b): return A()"},
    {"a list equal to all",
     "class A(list):\n    def __eq__(self, o): return True\ndef add(a, b): return A()"},
    {"an iterator that forges", "def add(a, b):\n    yield 5"},
    {"patched builtins", "import builtins\nbuiltins.int.__eq__ = None\ndef add(a, b): return 7"},
    {"patched assertion",
     "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.all = lambda x: True\n"
     "builtins.abs = lambda x: 0\nbuiltins.set = lambda *x: 1\ndef add(a, b): return 7"},
    {"patched modules",
     "import sys\nfor m in list(sys.modules.values()):\n"
     "    for k in list(vars(m) or ()):\n        pass\n"
     "sys.modules['json'] = sys.modules['ast'] = None\ndef add(a, b): return None"},
    {"a search of the frames",
     "import sys\ndef add(a, b):\n    f = sys._getframe()\n    seen = []\n    while f:\n"
     "        seen += [v for v in f.f_locals.values() if type(v) is int and v not in (a, b)]\n"
     "        f = f.f_back\n    return seen[-1] if seen else 0"},
    {"a search of the memory",
     "import gc\ndef add(a, b):\n    for o in gc.get_objects():\n        if type(o) is dict and "
     "'expected' in o: return o['expected']\n        if type(o) is str and 'assert' in o: return "
     "5\n"
     "    return None"},
    {"a written verdict",
     "import os\nos.write(4, b'V{\"tests\": 3, \"reasons\": [null, null, null]}\\n' * 9)\n"
     "def add(a, b): return 0"},
    {"written values",
     "import os\nos.write(4, b'null\\n0\\n0\\n0\\n0\\n0\\n0\\n')\ndef add(a, b): return 0"},
    {"rubbish for values",
     "import os\nos.write(4, b'null\\n' + b'[' * 100000 + b'\\n')\ndef add(a, b): return 0"},
    {"a tag that is none",
     "import os\nos.write(4, b'null\\n{\"a\":[\"zz\"]}\\n[\"h\",\"x\"]\\n[]\\n')"},
    {"a closed channel", "import os\nos.close(4)\nos.close(3)\ndef add(a, b): return a + b"},
    {"a test in disguise", "def add(a, b):\n    raise AssertionError\ndef check(candidate): pass"},
    {"the tests' names", "def check(c): return True\nassert True\nreasons = [None] * 3"},
    {"an infinite number", "def add(a, b): return float('nan')"},
    {"a deep list",
     "def add(a, b):\n    x = []\n    for i in range(100000): x = [x]\n    return x"},
    {"a loop in a list", "def add(a, b):\n    x = []\n    x.append(x)\n    return x"},
    {"a long text", "def add(a, b): return 'x' * (6 << 20)"},
    {"a huge number", "def add(a, b): return 1 << (1 << 22)"},
    {"a killed parent",
     "import os, signal\nfor p in range(1, 5000):\n    try: os.kill(p, signal.SIGKILL)\n"
     "    except OSError: pass\ndef add(a, b): return 1"},
    {"half a character", "def add(a, b): raise ValueError('\\ud800')"},
    {"a name that is half a character",
     "def add(a, b): raise type('E\\udfff', (Exception,), {})('\\ud800\\x00')"},
    {"bytes that are no text", "import os\nos.write(4, b'[\"!\",\"\\xff\\xc0\\x00\"]\\n')"},
    {"an exception whose text fails",
     "class E(Exception):\n    def __str__(self): raise E()\ndef add(a, b): raise E()"},
    {"StopIteration", "def add(a, b): raise StopIteration"},
    {"the harness rewritten",
     "open('candidate.py', 'w').write('')\nimport __main__\n__main__.serve = None\n"
     "def add(a, b): return 5 if False else None"},
    {"the tests read from files",
     "import os, glob\ntext = ''\nfor f in glob.glob('/tmp/*') + glob.glob('/tmp/../*'):\n"
     "    try: text += open(f).read()\n    except OSError: pass\n"
     "def add(a, b): return 5 if '== ' + '5' in text else None"},
};

const Trick kStreamTricks[] = {
    {"the right first line, then an exit",
     "import os\nprint(sum(map(int, input().split())), "
     "flush=True)\nos._exit(0)"},
    {"the right output, then more",
     "s = sum(map(int, input().split()))\nprint(s)\nprint(s)\nprint(s)"},
    {"the right output, then a failure",
     "s = sum(map(int, input().split()))\nprint(s)\nprint(s)\nraise SystemExit(1)"},
    {"the right output, then SIGKILL to itself",
     "import os\ns = sum(map(int, input().split()))\nprint(s)\nprint(s, flush=True)\n"
     "os.kill(os.getpid(), 9)"},
    {"the right output, then SIGTERM to itself",
     "import signal\ns = sum(map(int, input().split()))\nprint(s)\nprint(s, flush=True)\n"
     "signal.raise_signal(signal.SIGTERM)"},
    {"the right output, then an alarm",
     "import signal, time\ns = sum(map(int, input().split()))\nprint(s)\nprint(s, flush=True)\n"
     "signal.setitimer(signal.ITIMER_REAL, 0.02)\ntime.sleep(1)"},
    {"the right output, then the end of all processes",
     "import os\ns = sum(map(int, input().split()))\nprint(s)\nprint(s, flush=True)\n"
     "for p in range(1, 100):\n    try: os.kill(p, 15)\n    except OSError: pass"},
    {"nothing", "pass"},
    {"one constant", "print(5)\nprint(5)"},
    {"all numbers", "for i in range(100): print(i)"},
    {"on the wrong stream",
     "import sys\ns = sum(map(int, input().split()))\nprint(s, file=sys.stderr)\n"
     "print(s, file=sys.stderr)"},
    {"a printed verdict", "print('ok')\nprint('{\"status\": \"ok\", \"value\": 1}')"},
    {"digits of another script",
     "s = sum(map(int, input().split()))\nt = ''.join(chr(0xff10 + int(c)) for c in str(s))\n"
     "print(t)\nprint(t)"},
    {"bytes that are no text", "import os\nos.write(1, b'\\xff\\xc0\\n' * 2)"},
    {"bytes that are no text, as an error", "import os\nos.write(2, b'\\xff\\xc0')\nos._exit(1)"},
    {"a null byte", "s = sum(map(int, input().split()))\nprint('%d\\0' % s)\nprint(s)"},
};

}  // namespace

TEST_CASE("code: no trick makes a wrong function pass its assertions") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}, {"seconds", "2"}});
  if (!rule) return;
  for (const std::string& row : {kAssertions, kCheck}) {
    const Verdict right = judge_python(*rule, "def add(a, b):\n    return a + b", row);
    INFO(right.reason);
    CHECK(right.status == VerdictStatus::ok);
    for (const Trick& trick : kCallTricks) {
      const Verdict verdict = judge_python(*rule, trick.program, row);
      INFO(trick.name << ": " << name_of(verdict.status) << " " << verdict.reason);
      CHECK(verdict.value == 0.0);
      CHECK(verdict.status == VerdictStatus::wrong);
      CHECK_FALSE(verdict.reason.empty());
      CHECK(find_invalid_utf8(verdict.reason) == std::string::npos);
    }
  }
}

TEST_CASE("code: no trick makes a wrong output pass") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}, {"seconds", "2"}});
  if (!rule) return;
  const std::string right = "s = sum(map(int, input().split()))\nprint(s)\nprint(s)";
  CHECK(judge_python(*rule, right, kStreams).status == VerdictStatus::ok);
  for (const Trick& trick : kStreamTricks) {
    const Verdict verdict = judge_python(*rule, trick.program, kStreams);
    INFO(trick.name << ": " << verdict.reason);
    CHECK(verdict.value == 0.0);
    CHECK(verdict.status == VerdictStatus::wrong);
  }
}

TEST_CASE("code: no trick earns a part of the credit") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}, {"seconds", "2"}, {"credit", "share"}});
  if (!rule) return;
  for (const Trick& trick : kStreamTricks) {
    const std::string name = trick.name;
    if (name == "one constant") continue;  // right for the first test
    const Verdict verdict = judge_python(*rule, trick.program, kStreams);
    INFO(trick.name);
    CHECK(verdict.value == 0.0);
  }
  for (const Trick& trick : kCallTricks) {
    if (std::string(trick.name) == "exit after a right value") continue;
    const Verdict verdict = judge_python(*rule, trick.program, kAssertions);
    INFO(trick.name << " " << verdict.value);
    // Some give a constant, and 0 is right for one of the three tests.
    CHECK(verdict.value <= 0.34);
  }
  // What ends early has not passed what it did not reach.
  const Verdict early = judge_python(*rule, kCallTricks[2].program, kAssertions);
  CHECK(early.value == 0.0);
}

TEST_CASE("code: what takes too long is a timeout, and nothing waits for it") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}, {"seconds", "1"}, {"wall", "2"}});
  if (!rule) return;
  // Two at once, as the rule runs them.
  const std::vector<std::pair<std::string, const std::string*>> slow = {
      {"def add(a, b):\n    while True: pass", &kAssertions},
      {"import time\ntime.sleep(100)", &kAssertions},
      {"def add(a, b):\n    import time\n    time.sleep(100)", &kAssertions},
      {"import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()\n"
       "def add(a, b):\n    while True: pass",
       &kAssertions},
      {"def add(a, b): return 10 ** 10 ** 9", &kAssertions},
      {"while True: pass", &kStreams},
      {"import time\ntime.sleep(9)", &kStreams}};
  std::vector<Verdict> verdicts(slow.size());
  ThreadPool pool(2);
  pool.parallel_for(static_cast<int64_t>(slow.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
      verdicts[i] = judge_python(*rule, slow[i].first, *slow[i].second);
  });
  for (size_t i = 0; i < slow.size(); ++i) {
    INFO(slow[i].first << ": " << verdicts[i].reason);
    CHECK(verdicts[i].status == VerdictStatus::timeout);
    CHECK(verdicts[i].value == 0.0);
  }
  // The judge is as good as before.
  CHECK(judge_python(*rule, "def add(a, b): return a + b", kAssertions).status ==
        VerdictStatus::ok);
}
