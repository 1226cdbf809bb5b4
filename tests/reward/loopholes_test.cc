// Each loophole that a published verifier has or had, in the order in which they were collected:
// what passed there does not pass here, and what failed there for no reason passes.
#include <fstream>

#include "core/json.h"
#include "reward/composite.h"
#include "reward/math/checker.h"
#include "tests/reward/code/sealed.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

struct Loophole {
  const char* where;  // the verifier that has it
  const char* rule;
  const char* row;     // with gold, prompt and completion
  const char* status;  // that the rule must give
};

void check(const Loophole& l) {
  INFO(l.where << ": " << l.rule << " " << l.row);
  const Json row = parse_json(l.row, l.where);
  const auto field = [&](const char* name) -> std::string {
    const JsonValue* value = find_member(row, name);
    if (value == nullptr) return "";
    return value->IsString() ? std::string(value->GetString(), value->GetStringLength())
                             : to_text(*value);
  };
  const std::string prompt = field("prompt"), gold = field("gold"), text = field("completion");
  const JsonValue* tokens = find_member(row, "tokens");
  const CompositeReward reward(parse_reward_spec(l.rule, "test"), builtin_rules(), "test");
  const Verdict verdict = reward
                              .score({.prompt = prompt,
                                      .completion = text,
                                      .gold = gold,
                                      .row = &row,
                                      .completion_tokens = tokens ? tokens->GetInt64() : -1})
                              .components[0]
                              .verdict;
  INFO(verdict.extracted << ": " << verdict.reason);
  CHECK(std::string(name_of(verdict.status)) == l.status);
}

}  // namespace

TEST_CASE("loopholes: what Math-Verify accepts or rejects wrongly") {
  for (const Loophole& l : {
           Loophole{"1 swallowed", "math", R"({"gold":"1-1/e","completion":"\\boxed{1+1/e}"})",
                    "wrong"},
           {"mathrm e", "math",
            R"({"gold":"$1-\\frac{1}{\\mathrm{e}}$","completion":"$1+\\frac{1}{\\mathrm{e}}$"})",
            "wrong"},
           {"issue 60", "math", R"({"gold":"3*x-1*y+13=0","completion":"3x+4y+14=0"})", "wrong"},
           {"issue 47", "math", R"({"gold":"1728","completion":"1331 and 1728"})", "wrong"},
           {"issue 14", "math", R"({"gold":"2^{-99}","completion":"$2^{-98}$"})", "wrong"},
           {"issue 14", "math", R"({"gold":"\\frac{1}{2004!}","completion":"$\\frac{1}{2006!}$"})",
            "wrong"},
           {"issue 14", "math", R"({"gold":"1e-7","completion":"2e-7"})", "wrong"},
           {"units dropped", "math", R"({"gold":"$10$ cm","completion":"$10$ m"})", "wrong"},
           {"last side", "math", R"({"gold":"5","completion":"$0=5$"})", "wrong"},
           {"last side", "math", R"({"gold":"5","completion":"$y=3=5$"})", "wrong"},
           {"pair or set", "math", R"({"gold":"$(1,2)$","completion":"$\\{1,2\\}$"})", "wrong"},
           {"capitals", "math", R"({"gold":"Evelyn","completion":"evelyn"})", "wrong"},
           {"issue 64", "math", R"({"gold":"$\\sqrt{1/n}$","completion":"$\\frac{1}{\\sqrt{n}}$"})",
            "ok"},
           {"issue 76", "math", R"({"gold":"73","completion":"The answer is **73**."})", "ok"},
           {"issues 1 and 56", "math", R"({"gold":"\\frac{3}{4}","completion":"\\frac34"})", "ok"},
           {"issue 26", "math", R"({"gold":"y = 2x + 1","completion":"$2x - y + 1 = 0$"})", "ok"},
           {"issue 65", "math", R"({"gold":"5","completion":"\\boxed{5^{5^{5^{5^5}}}}"})",
            "no_answer"},
           {"question for answer", "math", R"({"gold":"$(1,2)$","completion":"$1 < x < 2$"})",
            "wrong"},
       })
    check(l);
}

TEST_CASE("loopholes: what verl's verifiers accept or reject wrongly") {
  for (const Loophole& l : {
           Loophole{"CVE-2026-6878", "math",
                    R"({"gold":"\\pi","completion":"\\boxed{__import__('os')._exit(0)*\\pi}"})",
                    "no_answer"},
           {"CVE-2026-6878", "math",
            R"({"gold":"\\begin{pmatrix}1\\\\2\\end{pmatrix}","completion":"[exit(0),2]"})",
            "no_answer"},
           {"prime_math", "math", R"({"gold":"12345678","completion":"12345000"})", "wrong"},
           {"prime_math", "math", R"({"gold":"50","completion":"0.5"})", "wrong"},
           {"prime_math", "math", R"({"gold":"0.5","completion":"50"})", "wrong"},
           {"prime_math", "math", R"({"gold":"[1,2]","completion":"\\boxed{(1,2)}"})", "wrong"},
           {"gsm8k", "math", R"({"gold":"18","completion":"\\boxed{18.0}"})", "ok"},
           {"gsm8k", "gsm8k", R"({"gold":"18","completion":"#### 18."})", "ok"},
           {"math_reward", "math", R"({"gold":"0.25","completion":"\\boxed{1/4}"})", "ok"},
           {"math_reward", "math", R"({"gold":"2\\sqrt{3}","completion":"\\boxed{\\sqrt{12}}"})",
            "ok"},
           {"math_reward", "math", R"({"gold":"50","completion":"\\boxed{50\\%}"})", "wrong"},
           {"math_dapo", "math", R"({"gold":"10 km","completion":"Answer: 10 cm"})", "wrong"},
           {"math_dapo", "math", R"({"gold":"10","completion":"Answer: nonsense=10"})",
            "no_answer"},
           {"math_dapo", "math", R"({"gold":"","completion":"Answer: a "})", "bad_gold"},
       })
    check(l);
  // gsm8k: the answer may stand far from the end.
  check({"gsm8k, PR 7274", "gsm8k",
         ("{\"gold\":\"18\",\"completion\":\"#### 18\\n" + std::string(2000, 'x') + "\"}").c_str(),
         "ok"});
}

TEST_CASE("loopholes: what open-r1's rewards accept or reject wrongly") {
  for (const Loophole& l : {
           Loophole{"empty bodies", "format",
                    R"({"completion":"<think></think><answer></answer>"})", "wrong"},
           {"text behind", "format", R"({"completion":"<think>a</think><answer>7</answer>\nor 8"})",
            "wrong"},
           {"order of tags", "format", R"({"completion":"<answer>7</answer><think>a</think>"})",
            "wrong"},
           {"unreadable gold", "math", R"({"gold":"\\boxed{","completion":"7"})", "bad_gold"},
           {"cosine swings back", "length(variant=cosine;max_tokens=1000)",
            R"({"tokens":2000,"completion":"x"})", "wrong"},
           {"characters for tokens", "length(max_tokens=100;soft_tokens=20)",
            R"({"tokens":10,"completion":"many more characters than a hundred, which do not count )"
            R"(as tokens do, and so the answer is not too long at all, whatever it says"})",
            "ok"},
       })
    check(l);
  check({"no spaces", "repetition", ("{\"completion\":\"" + std::string(4000, 'a') + "\"}").c_str(),
         "wrong"});
  if (test::sealed_sandbox() == nullptr) return;
  check({"first line only", "code",
         R"({"tests":[{"input":"","output":"1\n2\n"}],"completion":"```python\nprint(1)\n```"})",
         "wrong"});
  check({"exit code", "code",
         R"({"tests":[{"input":"","output":"1\n"}],)"
         R"("completion":"```python\nprint(1, flush=True)\nraise SystemExit(3)\n```"})",
         "wrong"});
}

TEST_CASE("loopholes: two guesses, sprays and instructions that always pass") {
  for (const Loophole& l : {
           Loophole{"open-instruct", "math", R"({"gold":"5","completion":"\\boxed{6}\nAnswer: 5"})",
                    "wrong"},
           {"Visual-RFT 79", "mcq", R"({"gold":"B","completion":"A or B or C"})", "no_answer"},
           {"Soup 814", "format", R"({"completion":"<think></think>a"})", "wrong"},
           {"spray", "math", R"({"gold":"5","completion":"\\boxed{4}\\boxed{5}"})", "wrong"},
           {"spray", "exact", R"({"gold":"5","completion":"<answer>4</answer><answer>5</answer>"})",
            "no_answer"},
           {"whole text", "exact", R"({"gold":"Evelyn","completion":"It is Evelyn or Ann"})",
            "wrong"},
           {"harbor PR 1683", "ifeval",
            R"({"instruction_id_list":["language:response_language"],"kwargs":[{"language":"de"}],)"
            R"("completion":"12345 ..."})",
            "wrong"},
           {"PR 1655", "ifeval", R"({"instruction_id_list":[],"kwargs":[],"completion":"a"})",
            "bad_gold"},
           {"deepeval 3063", "ifeval",
            R"({"instruction_id_list":["keywords:existance"],"kwargs":[{}],"completion":"a"})",
            "error"},
           {"tinker-cookbook 893", "ifeval",
            R"({"instruction_id_list":["keywords:frequency","keywords:frequency"],"kwargs":[)"
            R"({"keyword":"a","frequency":2,"relation":"at least"},)"
            R"({"keyword":"b","frequency":1,"relation":"at least"}],"completion":"b a"})",
            "wrong"},
           {"tinker-cookbook 897", "ifeval",
            R"({"instruction_id_list":["combination:repeat_prompt"],"kwargs":[)"
            R"({"prompt_to_repeat":"Say hello."}],"completion":"Hello."})",
            "wrong"},
       })
    check(l);
}

TEST_CASE("loopholes: a box is not cut out of its formula") {
  const auto judge = [](const char* gold, const std::string& completion) {
    return check_math(gold, completion, {}).status;
  };
  for (const char* text : {
           "x=-\\boxed{5}",
           "\\[x=-\\boxed{5}\\]",
           "2\\boxed{5}",
           "\\sqrt{\\boxed{5}}",
           "$\\frac{1}{\\boxed{5}}$",
           "$10^{\\boxed{5}}$",
           "\\boxed{5}\\times 10^3",
           "$\\boxed{5}\\%$",
           "$\\boxed{5}x$",
           "$\\boxed{5}!$",
           "\\boxed{5}^2",
           "$\\boxed{5} + 1$",
           "$\\boxed{5},000$",
           "\\boxed{5} million",
           "$\\boxed{5}$ + 1",
           "$\\boxed{5}\\text{ million}$",
           "$x>\\boxed{5}$",
           "\\boxed{5}x",
           "\\boxed{5}0",
           "\\boxed{5} squared",
           "\\boxed{5} or 6",
           "$\\boxed{5}\\text{ or }6$",
           "The answer is not \\boxed{5}.",
           "\\boxed{5} is wrong.",
           "It cannot be \\boxed{5}.",
           "It isn't $\\boxed{5}$.",
           "less than $\\boxed{5}$",
           "$\\boxed{5}$ is incorrect.",
           "So not 5",
           "Therefore it cannot be 5.",
           "Thus it is more than 5.",
           "Hence less than 5 apples.",
           "Therefore either 4 or maybe 5",
           "The answer is $5$ squared",
           "$5$ + 1",
           "The answer is $5$ + 1",
           "So it is not $5$.",
           "at least 5",
           "at most 5",
       }) {
    INFO(text);
    CHECK(judge("5", text) != VerdictStatus::ok);
  }
  for (const char* text : {
           "x=\\boxed{5}",
           "$x=\\boxed{5}$",
           "\\[x = \\boxed{5}.\\]",
           "so \\boxed{5}",
           "Answer: \\boxed{5}",
           "**\\boxed{5}**",
           "- \\boxed{5}",
           "($\\boxed{5}$)",
           "$2+3=\\boxed{5}$ apples, not 6.",
           "$\\displaystyle\\boxed{5}$",
           "\\boxed{5}!",
           "$\\boxed{5}$ is the only one that is not negative.",
           "\\boxed{5} in all",
           "$\\boxed{5}\\text{ cm}$",
           "$\\textbf{Answer: }\\boxed{5}$",
           "It's 5",
       }) {
    INFO(text);
    CHECK(judge("5", text) == VerdictStatus::ok);
  }
  CHECK(judge("-5", "x=-\\boxed{5}") == VerdictStatus::ok);
  CHECK(judge("-5", "$x = -\\boxed{5}$.") == VerdictStatus::ok);
  CHECK(judge("5000", "$\\boxed{5}\\times 10^3$") == VerdictStatus::ok);
  CHECK(judge("5000000", "\\boxed{5} million") == VerdictStatus::ok);
  CHECK(judge("1-1/e", "$\\boxed{1-1/e}+1$") != VerdictStatus::ok);
  CHECK(judge("10", "\\boxed{10} \\text{ or } 12") != VerdictStatus::ok);
  for (const char* text : {"\\boxed{10} m", "$\\boxed{10}$ m", "\\boxed{10}\\text{ m}",
                           "$\\boxed{10}\\text{ m}$", "$10$ m", "$\\boxed{10}$ square cm"}) {
    INFO(text);
    CHECK(judge("10\\text{ cm}", text) == VerdictStatus::wrong);
  }
  for (const char* text : {"\\boxed{10} cm", "$\\boxed{10}$ centimeters tall.",
                           "\\boxed{10}\\text{ cm}", "$10$ cm", "\\boxed{10}"}) {
    INFO(text);
    CHECK(judge("10\\text{ cm}", text) == VerdictStatus::ok);
  }
}

TEST_CASE("loopholes: programs that end early, or answer for the harness") {
  if (test::sealed_sandbox() == nullptr) return;
  const char* row = R"({"test_list":["assert add(2, 3) == 5"],"completion":"```python\n%s\n```"})";
  for (const std::string program : {
           R"(import sys\nsys.exit(0)\ndef add(a, b): return 0)",
           R"(raise SystemExit(0))",
           R"(import os\nos.abort())",
           R"(import os\nos._exit(0))",
           R"(class E:\n  def __eq__(self, o): return True\ndef add(a, b): return E())",
           R"(import builtins\nbuiltins.AssertionError = None\ndef add(a, b): return 0)",
           R"(def add(a, b):\n  print('passed')\n  return 0)",
       }) {
    std::string text = row;
    text.replace(text.find("%s"), 2, program);
    INFO(program);
    check({"early end", "code", text.c_str(), "wrong"});
  }
}
