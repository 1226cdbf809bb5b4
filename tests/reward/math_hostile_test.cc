// Answers made to break a checker: they end soon, and never in a reward.
#include <chrono>
#include <thread>

#include "core/random.h"
#include "reward/math/checker.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

std::string repeated(const std::string& piece, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += piece;
  return text;
}

}  // namespace

TEST_CASE("huge and deep answers are no answers, and cost little") {
  const std::string cases[] = {
      "\\boxed{5^{5^{5^{5^{5^{5}}}}}}",
      "\\boxed{9!!!!!}",
      "\\boxed{(10^{10000})^{10000}}",
      "\\boxed{\\binom{100000}{50000}}",
      "\\boxed{2^{2^{100}}}",
      "\\boxed{e^{e^{e^{e^{10}}}}}",
      "\\boxed{\\sin(10^{1000000})}",
      "\\boxed{\\sqrt[999]{" + repeated("9", 900) + "}}",
      "\\boxed{" + repeated("(", 1900) + "}",
      "\\boxed{" + repeated("\\sqrt{", 300) + "5" + repeated("}", 300) + "}",
      "\\boxed{" + repeated("-", 1900) + "5}",
      "\\boxed{" + repeated("{", 900) + "5" + repeated("}", 900) + "}",
      "\\boxed{" + repeated("1,", 900) + "5}",
      "\\boxed{" + repeated("9", 1000000) + "}",
      repeated("\\boxed{", 200000),
      repeated("$", 1000001),
      repeated("<answer>", 100000),
      repeated("the answer is ", 70000),
      repeated("####", 250000),
      repeated("5 ", 500000),
      "\\boxed{" + repeated("x+", 390) + "x}",
      "\\boxed{" + repeated("\\sin x+", 150) + "x}",
      "\\boxed{\\frac{1}{10^{-10^{10}}}}",
      "\\boxed{1e999999}",
      "\\boxed{(1+10^{-5000})^{5000}}",
      "\\boxed{e^{9999}+\\sin(e^9)}",
      "\\boxed{\\sqrt{2}+" + repeated("\\sin(\\sqrt{7})+", 100) + "1}",
      "\\boxed{" + repeated("\\sqrt{1+", 50) + "1" + repeated("}", 50) + "}",
      "\\boxed{" + repeated("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", 40) + "}",
      "\\boxed{5+\\cos(10^{-600})-\\cos(10^{-601})}",
  };
  for (const std::string& text : cases) {
    INFO(text.substr(0, 60));
    const auto start = std::chrono::steady_clock::now();
    const Verdict verdict = check_math("5", text, {});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    CHECK(verdict.value == 0.0);
    CHECK(took.count() < 0.5);  // generous: a loaded machine; the work itself is bounded by steps
  }
}

TEST_CASE("a hostile gold is a bad gold or unequal, never a crash") {
  for (const std::string& gold :
       {repeated("9", 100000), repeated("(", 1000), std::string("5^{5^{5^{5}}}")}) {
    const Verdict verdict = check_math(gold, "\\boxed{5}", {});
    CHECK(verdict.value == 0.0);
  }
}

TEST_CASE("towers are unequal to each other unless written alike") {
  CHECK_FALSE(same_math("9^{9^{9^{9}}}", "9^{9^{9^{8}}}"));
  CHECK_FALSE(same_math("5^{5^{5}}", "5^{5^{5}}+1"));
  CHECK(same_math("9^{9^{9^{9}}}", "9^{9^{9^{9}}}"));
  CHECK_FALSE(same_math("1", "1+e^{-100000}"));
  CHECK_FALSE(same_math("0", "10^{-9000}"));
  CHECK_FALSE(same_math("0", "e^{-9000}"));
}

TEST_CASE("random answers neither crash nor pass for a gold that they do not hold") {
  constexpr std::string_view kPieces[] = {"\\frac",
                                          "{",
                                          "}",
                                          "(",
                                          ")",
                                          "[",
                                          "]",
                                          "\\{",
                                          "\\}",
                                          "1",
                                          "2",
                                          "x",
                                          "y",
                                          "+",
                                          "-",  //
                                          "*",
                                          "/",
                                          "^",
                                          "_",
                                          "\\sqrt",
                                          "\\sin",
                                          "\\log",
                                          "\\pi",
                                          "e",
                                          "i",
                                          ",",
                                          "=",
                                          "<",  //
                                          "\\le",
                                          "\\cup",
                                          "\\in",
                                          "|",
                                          "!",
                                          "%",
                                          "\\%",
                                          "^\\circ",
                                          "$",
                                          "\\text{",
                                          "cm",
                                          " ",  //
                                          "\\pm",
                                          "\\infty",
                                          "\\begin{pmatrix}",
                                          "\\end{pmatrix}",
                                          "&",
                                          "\\\\",
                                          "or",
                                          "and",
                                          ".",  //
                                          "0.",
                                          "\xE2\x88\x9A",
                                          "\xFF",
                                          "\\overline",
                                          ".5",
                                          "A5_{10}",
                                          "1e5",
                                          "_{10}",
                                          "\\sqrt[",  //
                                          "\\dot{3}",
                                          "(3)",
                                          "\\log_",
                                          "million",
                                          ":",
                                          "'",
                                          "\\boxed{",
                                          "\\mathbb{R}",
                                          "p.m."};
  for (uint32_t trial = 0; trial < 30000; ++trial) {
    Random random(99, RandomStream::data, trial);
    std::string text;
    const uint32_t length = 1 + random.below(14);
    for (uint32_t i = 0; i < length; ++i) {
      text += kPieces[random.below(static_cast<uint32_t>(std::size(kPieces)))];
    }
    INFO(text);
    // No piece can make this number.
    CHECK_FALSE(same_math("7919", text));
    same_math(text, text);
    check_math("\\{1,2\\}", text, {});
  }
}

TEST_CASE("the same verdicts come from many threads at once") {
  const std::pair<const char*, const char*> pairs[] = {{"2\\sqrt{3}", "\\sqrt{12}"},
                                                       {"\\sin 2x", "2\\sin x\\cos x"},
                                                       {"1-1/e", "1+1/e"},
                                                       {"\\frac{\\pi}{4}", "\\arctan 1"}};
  std::vector<std::thread> threads;
  std::vector<int> mistakes(4, 0);
  for (size_t t = 0; t < mistakes.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        for (const auto& [gold, answer] : pairs) {
          const bool expected = std::string(gold) != "1-1/e";
          if (same_math(gold, answer) != expected) ++mistakes[t];
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(mistakes == std::vector<int>(4, 0));
}
