#include "reward/rules/math.h"

#include "reward/math/checker.h"
#include "reward/math/extract.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

Verdict judge(const std::string& gold, const std::string& completion) {
  const auto rule = builtin_rules().make("math", {}, "test");
  return rule->score({.completion = completion, .gold = gold});
}

}  // namespace

TEST_CASE("the final answer is found in each of its marks") {
  const std::pair<const char*, const char*> cases[] = {
      {"so \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"},
      {"\\boxed{1} no, \\boxed{2}", "2"},
      {"work\n#### 1,234\n", "1,234"},
      {"<think>5</think><answer> 7 </answer>", "7"},
      {"<think>x</think><answer>It is \\boxed{7}</answer>", "7"},
      {"So the answer is 42.", "42"},
      {"The final answer is: $\\frac12$.", "$\\frac12$"},
      {"The answer is $5$ since $x > 3$.", "$5$"},
      {"The answer is 3.5 cm. We are done.", "3.5 cm"},
      {"the answers are $1$ and $2$", "$1$ and $2$"},
      {"\\boxed{1} and \\boxed{2}", "\\boxed{1} and \\boxed{2}"},
      {"\\boxed{1}. So \\boxed{2}", "2"},
      {"It is $10$ cm.", "$10$ cm"},
      {"It is $10$ and not more.", "$10$"},
      {"It costs $5 and not $6, so\n7", "7"},
      {"Answer: 3 cm", "3 cm"},
      {"First $3$, then $4$.", "$4$"},
      {"we get \\(x=5\\)", "\\(x=5\\)"},
      {"a\nb", "b"},
      {"72", "72"},
  };
  for (const auto& [text, expected] : cases) {
    INFO(text);
    std::string reason;
    const auto answer = final_answer(text, reason);
    REQUIRE(answer);
    CHECK(answer->text == expected);
  }
}

TEST_CASE("no answer is no answer") {
  for (const char* text :
       {"", "\\boxed{}", "\\boxed{1", "<answer>1</answer><answer>2</answer>", "<answer></answer>",
        "\\boxed{5}</think>", "<think>so \\boxed{5}", "a\nI do not know"}) {
    INFO(text);
    CHECK(judge("5", text).status == VerdictStatus::no_answer);
  }
}

TEST_CASE("an answer inside thinking that the prompt opened is none until it is closed") {
  const auto rule = builtin_rules().make("math", {}, "test");
  const auto judge_after = [&](const std::string& completion) {
    return rule->score({.prompt = "Assistant: <think>\n", .completion = completion, .gold = "5"});
  };
  CHECK(judge_after("so \\boxed{5}").status == VerdictStatus::no_answer);
  CHECK(judge_after("so</think>\\boxed{5}").status == VerdictStatus::ok);
}

TEST_CASE("numbers are compared exactly") {
  const std::pair<const char*, const char*> equal[] = {{"72", "72.0"},
                                                       {"72", "72."},
                                                       {"1234", "1,234"},
                                                       {"0.25", "1/4"},
                                                       {"1/4", "0.25"},
                                                       {"18", "$18"},
                                                       {"18", "$18.00"},
                                                       {"50%", "0.5"},
                                                       {"-3", "\\boxed{-3}"},
                                                       {"5", "5 dollars"},
                                                       {"\\frac{1}{2}", "\\dfrac{2}{4}"},
                                                       {"1000000", "\\boxed{1{,}000{,}000}"}};
  for (const auto& [gold, answer] : equal) {
    INFO(gold << " and " << answer);
    CHECK(judge(gold, answer).value == 1.0);
  }
  const std::pair<const char*, const char*> unequal[] = {
      {"72", "73"},  {"72", "720"}, {"0.1", "0.10000000000000001"}, {"12345678", "12345000"},
      {"50", "50%"}, {"1", "none"}, {"0.0000001", "0.0000002"},     {"1234", "1,23,4"}};
  for (const auto& [gold, answer] : unequal) {
    INFO(gold << " and " << answer);
    CHECK(judge(gold, answer).value == 0.0);
  }
}

TEST_CASE("several candidates answer only a gold of several") {
  CHECK(judge("1, 2", "\\boxed{1} and \\boxed{2}").value == 1.0);
  CHECK(judge("{2, 1}", "so $x=1$ or $x=2$.").value == 1.0);
  CHECK(judge("2", "\\boxed{1} and \\boxed{2}").value == 0.0);
  CHECK(judge("2", "\\boxed{1}, \\boxed{2}").value == 0.0);
  CHECK(judge("2", "the answer is $1$ or $2$").value == 0.0);
  CHECK(judge("2", "The answer is 1 or 2.").value == 0.0);
  CHECK(judge("2", "<answer>1, 2</answer>").value == 0.0);
  CHECK(judge("2", "\\boxed{1} Answer: 2").value == 0.0);
}

TEST_CASE("a number in a line of words counts only if it stands free") {
  CHECK(judge("42", "I think that it must be 42.").value == 1.0);
  CHECK(judge("-42", "So the temperature fell to -42 degrees").value == 1.0);
  CHECK(judge("0.5", "The probability, in short, comes to 50%").value == 1.0);
  CHECK(judge("1234", "In total they sold 1,234 of them").value == 1.0);
  CHECK(judge("18", "She makes 9*2=18 a day").value == 0.0);
  CHECK(judge("2", "It should be x^2 as shown").value == 0.0);
  CHECK(judge("5", "It should be 5 or maybe 6").value == 0.0);
}

TEST_CASE("a sentence that is marked as the answer gives its value, or nothing") {
  const auto status = [](const std::string& text) { return check_math("19", text, {}).status; };
  for (const char* text : {
           "Final Answer: The count of lattice squares that $g$ covers is 19.",
           "Final Answer: The smallest possible $k$ is 19.",
           "Final Answer: the tank was filled 19 minutes ago. I trust that this is right.",
           "so \\boxed{18}, but more. The final answer is $19$.",
           "$x+1=20$ and so on. Therefore the price rises by 19.",
           "$x+1=20$ and so on. Therefore, there are 19 ways. I hope it is correct.",
           "It comes to 19m\u00B2",
           "It comes to 19 <|im_end|>\n<|im_start|>user 20",
       }) {
    INFO(text);
    CHECK(status(text) == VerdictStatus::ok);
  }
  for (const char* text : {
           "The answer is not 19.",
           "The answer is less than 19.",
           "The answer isn't 19.",
           "Final Answer: it was 18 or 19.",
           "Final Answer: I counted 18 and then 19.",
           "Final Answer: The smallest possible $k$ is not 19.",
           "so \\boxed{19}. The final answer is $18$.",
           "$x+1=20$ and so on. Therefore it is at least 19.",
           "$x+1=20$ and so on. Maybe it rises by 19.",
       }) {
    INFO(text);
    CHECK(status(text) != VerdictStatus::ok);
  }
}

TEST_CASE("letters behind a box leave the number in it") {
  CHECK(judge("-15", "so it is $6x^3-21x^3=\\boxed{-15}x^3$").value == 1.0);
  CHECK(judge("37", "&\\qquad=\\boxed{37}x^3").value == 1.0);
  CHECK(judge("37x^3", "it is $\\boxed{37}x^3$").value == 1.0);
  CHECK(judge("37", "it is $\\boxed{37x^3}$").value == 0.0);
  CHECK(judge("37", "it is $\\boxed{37}\\pi$").value == 0.0);
  CHECK(judge("37", "it is $2\\boxed{37}$").value == 0.0);
  CHECK(judge("37x^2", "it is $\\boxed{37}x^3$").value == 0.0);
}

TEST_CASE("boxes that are named or counted are one answer") {
  CHECK(judge("2", "$x=\\boxed{1}$ or $x=\\boxed{2}$").value == 0.0);
  CHECK(judge("1, 2", "$x=\\boxed{1}$ or $x=\\boxed{2}$").value == 1.0);
  CHECK(judge("2", "\\boxed{1} apples or \\boxed{2} apples").value == 0.0);
  CHECK(judge("2", "\\boxed{1} so \\boxed{2}").value == 1.0);
}

TEST_CASE("a gold that is a solution in words is read by its marks") {
  CHECK(judge("We add both. The final answer is $28 \\%$.", "\\boxed{28\\%}").value == 1.0);
  CHECK(judge("We add both. The final answer is $28 \\%$.", "\\boxed{29\\%}").value == 0.0);
  CHECK(judge("so it is \\boxed{20} percent", "$20 \\%$").value == 1.0);
  CHECK(judge("so it is \\boxed{20} percent", "$2 \\%$").value == 0.0);
}

TEST_CASE("what cannot be decided is wrong and says so") {
  const Verdict verdict = judge("\\pi", "\\boxed{\\pi+10^{-9000}}");
  CHECK(verdict.status == VerdictStatus::wrong);
  CHECK(verdict.reason.find("not decided") != std::string::npos);
  CHECK(judge("\\pi", "\\boxed{3}").reason.find("not decided") == std::string::npos);
}

TEST_CASE("a gold without an answer is a bad gold") {
  CHECK(judge("", "5").status == VerdictStatus::bad_gold);
  CHECK(judge("\\boxed{}", "5").status == VerdictStatus::bad_gold);
  CHECK(judge("9 - 4 = 5\n#### 5", "5").value == 1.0);
}
