// The rule `code`: forms of rows, languages, credit, refusal.
#include "reward/rules/code.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <thread>

#include "core/thread_pool.h"
#include "reward/code/task.h"
#include "tests/reward/code/sealed.h"
#include "tests/support/catch.h"

using namespace temper;
using namespace temper::test;

namespace {

Verdict judge(const RewardRule& rule, const std::string& completion, const std::string& row) {
  const Json json = parse_json(row, "row");
  return rule.score({.completion = completion, .row = &json});
}

std::optional<CodeTask> task_of(const std::string& row, const std::string& gold = "") {
  const Json json = parse_json(row, "row");
  std::string reason;
  auto task = read_code_task(&json, gold, reason);
  CHECK(task.has_value() == reason.empty());
  return task;
}

const std::string kEcho = R"json({"tests":[
  {"input":"1\n","output":"1\n"}, {"input":"2\n","output":"2\n"},
  {"input":"3\n","output":"3\n"}, {"input":"4\n","output":"4\n"}]})json";

}  // namespace

TEST_CASE("code: rows in the forms of the published data sets") {
  const auto streams = task_of(kEcho);
  REQUIRE(streams);
  CHECK(streams->kind == CodeTask::Kind::streams);
  CHECK(streams->streams.size() == 4);
  const auto fusion = task_of(
      R"json({"test":"[{\"input\":{\"stdin\":\"a\"},\"output\":{\"stdout\":\"b\"}}]"})json");
  REQUIRE(fusion);
  CHECK(fusion->streams.at(0).output == "b");
  const auto apps =
      task_of(R"json({"input_output":"{\"inputs\":[\"a\"],\"outputs\":[\"b\"]}"})json");
  REQUIRE(apps);
  CHECK(apps->streams.at(0).input == "a");
  const auto mbpp = task_of(R"json({"test_list":["assert f(1)"],"test_setup_code":"x = 1",
    "test_imports":["import math"],"code":"def f(x): return x"})json");
  REQUIRE(mbpp);
  CHECK(mbpp->kind == CodeTask::Kind::assertions);
  CHECK(mbpp->setup == "import math\nx = 1");
  CHECK(mbpp->reference == "def f(x): return x");
  const auto human = task_of(R"json({"test":"def check(c): pass","entry_point":"f","prompt":"p",
    "canonical_solution":"s"})json");
  REQUIRE(human);
  CHECK(human->kind == CodeTask::Kind::check);
  CHECK(human->prompt == "p");
  CHECK(task_of(R"json({"test":"assert f(1)\nassert f(2)"})json")->kind ==
        CodeTask::Kind::assertions);
  CHECK(task_of(R"json({"gold":{"tests":["assert f(1)"],"language":"python"}})json")->language ==
        CodeLanguage::python);
  CHECK(task_of("{}", R"json({"tests":[{"input":"","output":"x"}],"tolerance":1e-3})json")
            ->tolerance == 1e-3);
  for (const char* row :
       {"{}", R"({"tests":[]})", R"({"tests":"x"})", R"({"tests":[1]})", R"({"tests":[{}]})",
        R"({"tests":["assert x", {"input":"","output":""}]})", R"({"test":""})",
        R"({"input_output":"x"})", R"({"input_output":{"inputs":["a"],"outputs":[]}})",
        R"({"input_output":{"fn_name":"f","inputs":["a"],"outputs":["a"]}})",
        R"({"tests":["assert x"],"language":"java"})",
        R"({"tests":["assert x"],"tolerance":-1})"}) {
    INFO(row);
    CHECK_FALSE(task_of(row));
  }
}

TEST_CASE("code: C++ is compiled once and run for each test") {
  const auto rule = sealed_rule();
  if (!rule || !std::ifstream("/usr/bin/g++")) return;
  const std::string program = "#include <iostream>\nint main() { int x; std::cin >> x; ";
  const auto cpp = [](const std::string& text) { return "```cpp\n" + text + "\n```"; };
  const Verdict right = judge(*rule, cpp(program + "std::cout << x; }"), kEcho);
  INFO(right.reason);
  CHECK(right.status == VerdictStatus::ok);
  CHECK(judge(*rule, cpp(program + "std::cout << x % 4; }"), kEcho).status == VerdictStatus::wrong);
  CHECK_THAT(judge(*rule, cpp(program + "return 3; }"), kEcho).reason, Contains("exit code 3"));
  CHECK_THAT(judge(*rule, cpp(program + "*(int*)0 = 1; }"), kEcho).reason, Contains("killed"));
  // The right output, and then an end by a signal of its own.
  for (const char* number : {"9", "15"}) {
    const std::string end = "std::cout << x << std::flush; raise(" + std::string(number) + "); }";
    const Verdict killed = judge(*rule, cpp("#include <csignal>\n" + program + end), kEcho);
    CHECK(killed.status == VerdictStatus::wrong);
    CHECK_THAT(killed.reason, Contains("killed"));
  }
  CHECK_THAT(judge(*rule, cpp("int main( {"), kEcho).reason,
             Contains("does not compile: main.cc:1"));
  CHECK(judge(*rule, cpp("#include \"/etc/shadow\"\nint main() {}"), kEcho).status ==
        VerdictStatus::wrong);
  // Tests that call Python cannot judge C++.
  CHECK(
      judge(*rule, cpp("int f(int x) { return x; }"), R"({"tests":["assert f(1) == 1"]})").status ==
      VerdictStatus::wrong);
}

TEST_CASE("code: a missing compiler is the judge's fault, not the answer's") {
  const auto rule = sealed_rule({{"compiler", "/usr/bin/no-compiler"}});
  if (!rule) return;
  CHECK(judge(*rule, "```cpp\nint main() {}\n```", kEcho).status == VerdictStatus::error);
}

TEST_CASE("code: programs have room for threads") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}});
  if (!rule) return;
  const std::string python =
      "```python\nfrom concurrent.futures import ThreadPoolExecutor\nimport time\n"
      "with ThreadPoolExecutor(24) as pool:\n"
      "    sums = list(pool.map(lambda i: (time.sleep(0.02), i)[1], range(48)))\n"
      "print(input() if sum(sums) == 1128 else 0)\n```";
  const Verdict many = judge(*rule, python, kEcho);
  INFO(many.reason);
  CHECK(many.status == VerdictStatus::ok);
  if (start == "warm" || !std::ifstream("/usr/bin/g++")) return;
  const Verdict cpp =
      judge(*rule,
            "```cpp\n#include <cstdio>\n#include <thread>\n#include <vector>\n"
            "int main() { std::vector<std::thread> all; int x = 0;\n"
            "scanf(\"%d\", &x); std::vector<std::vector<int>> v(5);\n"
            "for (auto& each : v) all.emplace_back([&] { each.resize(x); });\n"
            "for (auto& each : all) each.join(); printf(\"%zu\", v[4].size()); }\n```",
            kEcho);
  INFO(cpp.reason);
  CHECK(cpp.status == VerdictStatus::ok);
}

TEST_CASE("code: all tests or the share of them") {
  const std::string start = either_start();
  const auto all = sealed_rule({{"start", start}}),
             share = sealed_rule({{"start", start}, {"credit", "share"}});
  if (!all || !share) return;
  const std::string program = "```python\nx = int(input())\nprint(min(x, 3))\n```";
  CHECK(judge(*all, program, kEcho).value == 0.0);
  const Verdict part = judge(*share, program, kEcho);
  CHECK(part.value == 0.75);
  CHECK(part.status == VerdictStatus::wrong);
  CHECK_THAT(part.reason, Contains("test 4 of 4: line 1: '3', not '4'"));
  const std::string calls =
      R"json({"test":"assert f(1) == 1\nx = 2\nassert f(x) == 2\nassert f(3)"})json";
  CHECK(judge(*share, "```python\ndef f(x): return 1\n```", calls).value == Approx(2.0 / 3));
  CHECK(judge(*all, "```python\ndef f(x): return 1\n```", calls).value == 0.0);
  CHECK(judge(*all, "```python\ndef f(x): return x\n```", calls).value == 1.0);
}

TEST_CASE("code: values of all built-in types come through as they are") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}});
  if (!rule) return;
  const std::string values[] = {"None",
                                "True",
                                "-(1 << 200)",
                                "1 << 62",
                                "0.1",
                                "float('inf')",
                                "1e-320",
                                "'a\\u00e9\\n\\x00\\ud800'",
                                "b'\\x00\\xff'",
                                "bytearray(b'a')",
                                "(1,)",
                                "()",
                                "[]",
                                "{}",
                                "{1: [2, {3}], (4, 5): None}",
                                "set()",
                                "{1, 'a'}",
                                "frozenset({1})",
                                "1j - 2",
                                "range(1, 9, 2)",
                                "[[[[[]]]]]",
                                "[__import__('fractions').Fraction(-1, 3)]",
                                "__import__('decimal').Decimal('0.50')",
                                "__import__('collections').deque([1, (2,)])",
                                "__import__('datetime').date(2020, 2, 29)",
                                "__import__('datetime').datetime(2020, 1, 2, 3, 4, 5, 6)",
                                "__import__('datetime').time(3, 4)",
                                "__import__('datetime').timedelta(-1, 2, 3)",
                                "[True, 1, 1.0]"};
  std::string tests;
  for (const std::string& value : values) {
    const std::string test =
        "x = " + value + "\nassert f(x) == x and type(f(x)) is type(x) and repr(f(x)) == repr(x)";
    tests += (tests.empty() ? "" : ",") + quote_json(test);
  }
  const Verdict verdict = judge_python(*rule, "def f(x): return x", "{\"tests\":[" + tests + "]}");
  INFO(verdict.reason);
  CHECK(verdict.status == VerdictStatus::ok);
}

TEST_CASE("code: objects, exceptions and iterators of an answer can be used by tests") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}});
  if (!rule) return;
  const std::string program = R"(
class Node:
    def __init__(self, value): self.value, self.next = value, None
    def double(self): return 2 * self.value
def total(node):
    return node.value + (total(node.next) if node.next else 0)
def numbers(n): return (i * i for i in range(n))
def fail(x): raise ValueError('no ' + str(x))
def in_place(x): x.append(1)
def twice(function, x): return function(function(x))
def vast():
    import decimal
    return decimal.Decimal('1e999999999')
limit = 7
)";
  const std::string row = R"json({"test_setup_code":"a = Node(1)\na.next = Node(2)","tests":[
    "assert total(a) == 3", "assert a.double() == 2 and a.next.value == 2",
    "assert list(numbers(4)) == [0, 1, 4, 9]", "assert sum(numbers(3)) == 5",
    "try:\n    fail(3)\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'no 3'",
    "assert twice(lambda x: max(x, 1) + 1, 2) == 4",
    "assert twice(lambda s: s + '\\n', 'a') == 'a\\n\\n'",
    "n = numbers(3)\nassert next(n) == 0 and next(n) == 1",
    "try:\n    x = int(vast())\nexcept Exception as e:\n    x = str(e)\nassert 'proportion' in x",
    "assert limit == 7", "x = []\nin_place(x)\nassert x == [1]",
    "assert a == a and a != a.next"]})json";
  const Verdict verdict = judge_python(*rule, program, row);
  INFO(verdict.reason);
  CHECK(verdict.status == VerdictStatus::ok);
}

TEST_CASE("code: a reference makes tests that ask the answer itself compare with it") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}});
  if (!rule) return;
  const std::string test =
      R"json("entry_point":"f","prompt":"def f(x):\n    \"\"\"Double.\"\"\"\n","test":)json"
      R"json("def check(candidate):\n    for i in range(9): assert candidate(i) == f(i)\n")json";
  const std::string with = "{" + test + R"json(,"canonical_solution":"    return 2 * x\n"})json";
  CHECK(judge_python(*rule, "def f(x): return 2 * x", with).status == VerdictStatus::ok);
  CHECK(judge_python(*rule, "def f(x): return 0", with).status == VerdictStatus::wrong);
  CHECK(judge_python(*rule, "import sys\ndef f(x): return 2 * x", with).status ==
        VerdictStatus::ok);
}

TEST_CASE("code: the rule refuses to start where programs cannot be sealed") {
  if (!has_python()) return;
  // In a user namespace that allows no other one in it, which any machine with some can make.
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWUSER) != 0) _exit(2);
    std::FILE* limit = std::fopen("/proc/sys/user/max_user_namespaces", "w");
    if (limit == nullptr || std::fputs("0\n", limit) < 0 || std::fclose(limit) != 0) _exit(2);
    int result = 1;
    try {
      builtin_rules().make("code", {}, "--reward");
    } catch (const UserError& refusal) {
      const std::string text = refusal.what();
      if (text.find("sandbox=off-i-trust-the-model") != std::string::npos &&
          text.find("namespace") != std::string::npos) {
        result = 0;
      }
    }
    try {
      const auto rule =
          builtin_rules().make("code", {{"sandbox", "off-i-trust-the-model"}}, "test");
      const Verdict verdict = judge_python(*rule, "print(input())", kEcho);
      if (verdict.status != VerdictStatus::ok) result = 3;
    } catch (const std::exception&) {
      result = 4;
    }
    _exit(result);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WEXITSTATUS(status) == 2) {
    std::fprintf(stderr, "skipped: no user namespace to refuse in\n");
    return;
  }
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("code: parameters that make no sense are refused") {
  if (!sealed_sandbox()) return;
  for (const RuleArguments& bad : {RuleArguments{{"seconds", "0"}},
                                   {{"memory", "-1"}},
                                   {{"sandbox", "off"}},
                                   {{"python", "/usr/bin/no-python"}},
                                   {{"tolerance", "x"}},
                                   {{"language", "java"}}}) {
    CHECK_THROWS_AS(builtin_rules().make("code", bad, "test"), UserError);
  }
}

TEST_CASE("code: what threads that have ended left behind does no harm") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}});
  if (!rule) return;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::jthread> threads;
    std::vector<VerdictStatus> statuses(6, VerdictStatus::error);
    for (VerdictStatus& status : statuses) {
      threads.emplace_back([&] {
        status =
            judge_python(*rule, "def f(x): return x", R"({"tests":["assert f(1) == 1"]})").status;
      });
    }
    threads.clear();
    for (const VerdictStatus status : statuses) CHECK(status == VerdictStatus::ok);
  }
}

TEST_CASE("code: many threads judge at once, and no slow answer holds up the others") {
  const std::string start = either_start();
  const auto rule = sealed_rule({{"start", start}, {"seconds", "1"}, {"wall", "20"}});
  if (!rule) return;
  ThreadPool pool(6);
  std::vector<int> wrong(60, 0);
  pool.parallel_for(60, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const std::string n = std::to_string(i);
      const std::string program = i % 10 == 9 ? "while True: pass" : "def f(x): return x + " + n;
      const Verdict verdict =
          judge_python(*rule, program, "{\"tests\":[\"assert f(1) == 1 + " + n + "\"]}");
      const VerdictStatus expected = i % 10 == 9 ? VerdictStatus::timeout : VerdictStatus::ok;
      wrong[static_cast<size_t>(i)] = verdict.status != expected;
    }
  });
  for (size_t i = 0; i < wrong.size(); ++i) {
    INFO(i);
    CHECK(wrong[i] == 0);
  }
}
