// gsm8k, mcq, exact, regex, length, repetition: what the examples of docs/rewards.md do not show.
#include <chrono>

#include "core/error.h"
#include "reward/composite.h"
#include "reward/rules/repetition.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

Verdict judge(const std::string& use, const RewardInput& input) {
  const RewardComponentSpec spec = parse_reward_spec(use, "test").components.at(0);
  return builtin_rules().make(spec.rule, spec.parameters, "test")->score(input);
}

std::string repeated(const std::string& piece, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += piece;
  return text;
}

}  // namespace

TEST_CASE("rules of the final part find no answer in thinking that is not closed") {
  for (const char* use : {"gsm8k", "gsm8k(mode=flexible)", "mcq", "exact", "regex"}) {
    INFO(use);
    CHECK(judge(use, {.prompt = "<think>\n", .completion = "#### 1", .gold = "1"}).status !=
          VerdictStatus::ok);
    CHECK(judge(use, {.completion = "<think> #### 1", .gold = "1"}).status != VerdictStatus::ok);
  }
}

TEST_CASE("mcq takes no spray of letters for an answer") {
  for (const char* text :
       {"A or B or C", "A, B", "(A) (B)", "A. B", "A) or B)", "Answer: A or B",
        "The answer is A and B", "\\boxed{A, B}", "<answer>A B</answer>", "<answer></answer>",
        "ABCD", "", "A B C D", "The answer is (A) or (B)", "answer: A\nanswer: C",
        "\\boxed{A}\\boxed{B}", "\\boxed{B} or \\boxed{A}", "\\boxed{\\text{A}}, \\boxed{(B)}"}) {
    INFO(text);
    CHECK(judge("mcq", {.completion = text, .gold = "A"}).status != VerdictStatus::ok);
    CHECK(judge("mcq", {.completion = text, .gold = "B"}).status != VerdictStatus::ok);
  }
}

TEST_CASE("mcq reads the usual ways to name a letter") {
  for (const char* text :
       {"B", "b", "(B)", "[B]", "B.", "B)", "**B**", "The answer is **(B)**.", "Answer: B",
        "so the correct answer is B.", "$\\boxed{B}$", "\\boxed{\\text{B}}", "<answer>(B)</answer>",
        "B. the second", "\\boxed{B}. So \\boxed{(b)}", "\\boxed{\\boxed{B}}",
        "\\boxed{x + 1}, so \\boxed{B}"}) {
    INFO(text);
    CHECK(judge("mcq", {.completion = text, .gold = "B"}).status == VerdictStatus::ok);
  }
}

TEST_CASE("a regular expression takes linear time on a completion made to stall it") {
  const std::string text = "<answer>" + repeated("foo bar ", 40000) + "</answer>";
  const auto start = std::chrono::steady_clock::now();
  CHECK(judge("regex(pattern=\"(.*)*foo.*bar.*baz\")", {.completion = text}).status ==
        VerdictStatus::wrong);
  CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < 5.0);
  CHECK(judge("regex(pattern=a)", {.completion = "<answer>\xFF\xC0</answer>"}).status ==
        VerdictStatus::wrong);
  CHECK_THROWS_AS(judge("regex(pattern=\"(\")", {}), UserError);
}

TEST_CASE("length counts tokens, and never leaves its range") {
  for (const int64_t tokens : {0, 1, 60, 61, 99, 100, 101, 1000000}) {
    const RewardInput input{.completion = "x", .completion_tokens = tokens};
    const double overlong = judge("length(max_tokens=100;soft_tokens=40)", input).value;
    CHECK((overlong >= -1.0 && overlong <= 0.0));
    CHECK((overlong == 0.0) == (tokens <= 60));
    CHECK((overlong == -1.0) == (tokens >= 100));
    const double cosine =
        judge("length(variant=cosine;max_tokens=100;short=-1;long=-0.5;over=-2)", input).value;
    CHECK((tokens > 100 ? cosine == -2.0 : cosine >= -1.0 && cosine <= -0.5));
  }
  for (const char* use : {"length", "length(max_tokens=0)", "length(max_tokens=5;soft_tokens=9)"}) {
    CHECK_THROWS_AS(judge(use, {}), UserError);
  }
}

TEST_CASE("repetition counts n-grams exactly, and sees text without spaces") {
  CHECK(repeated_words("a b a b", 2) == Approx(1.0 / 3));
  CHECK(repeated_words("a b c d", 2) == 0.0);
  CHECK(repeated_words("a b", 2) == 0.0);
  CHECK(repeated_words("A b a B", 2) == Approx(1.0 / 3));
  CHECK(repeated_characters("abab", 2) == Approx(1.0 / 3));
  CHECK(repeated_characters("a  b a\nb", 3) == Approx(1.0 / 5));
  CHECK(repeated_words(std::string(4000, 'a'), 4) == 0.0);  // one word
  CHECK(judge("repetition", {.completion = std::string(4000, 'a')}).value < -0.99);
  CHECK(judge("repetition", {.completion = repeated("对", 4000)}).value < -0.99);
  for (const char* space : {"\n", " ", "\t", " \n", "\xE2\x80\x83"}) {
    CHECK(judge("repetition", {.completion = repeated(space, 4000)}).value < -0.9);
    CHECK(judge("repetition", {.completion = "It is 4." + repeated(space, 4000)}).value < -0.9);
  }
  const std::string layout =
      "int f() {\n        if (x) {\n            return y;\n        }\n}\n\n\n";
  CHECK(judge("repetition", {.completion = layout}).value == 0.0);
  for (const char* use : {"repetition(words=0;characters=0)", "repetition(allowed=1)"}) {
    CHECK_THROWS_AS(judge(use, {}), UserError);
  }
}
