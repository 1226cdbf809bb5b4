#include "reward/math/checker.h"

#include <algorithm>

#include "reward/math/budget.h"
#include "reward/math/extract.h"
#include "reward/math/flint.h"
#include "reward/math/numeric.h"
#include "reward/math/reading.h"
#include "reward/math/token.h"
#include "reward/text.h"

namespace temper {
namespace {

enum class Outcome { same, different, undecided, unreadable };

bool is_collection(const Node& node) {
  return !is_scalar(node) && node.kind != NodeKind::relation && node.kind != NodeKind::chain;
}

// A constant that is too large to be told, such as a tower of powers.
bool is_out_of_reach(const Node& answer) {
  MathBudget budget;
  double value = 0.0;
  return is_scalar(answer) && symbols_of(answer).empty() && contains(answer, NodeKind::power) &&
         !approximate(answer, budget, value);
}

Outcome outcome_of(const Node& gold, const Node& answer, const CompareOptions& options) {
  MathBudget budget;
  if (same_answer(gold, answer, options, budget)) return Outcome::same;
  return budget.undecided() ? Outcome::undecided : Outcome::different;
}

Outcome outcome_of(bool same) {
  return same ? Outcome::same : Outcome::different;
}

// Whether two texts that are no formulas are written with the same signs, whatever the commands and
// spaces for them.
bool same_notation(std::string_view gold, std::string_view answer) {
  const auto g = tokenize_math(gold, CommaMode::separating, kMaxTokens);
  const auto a = tokenize_math(answer, CommaMode::separating, kMaxTokens);
  return g && a && g->size() > 1 &&
         std::equal(g->begin(), g->end(), a->begin(), a->end(), [](const Token& x, const Token& y) {
           return x.kind == y.kind && x.text == y.text;
         });
}

// One way to read the commas of both.
Outcome compare_as(std::string_view gold, std::string_view answer, CommaMode commas,
                   const CompareOptions& options) {
  const Reading g = read_math_answer(gold, commas), a = read_math_answer(answer, commas);
  if (g.tree == nullptr || a.tree == nullptr) return Outcome::unreadable;
  return outcome_of(*g.tree, *a.tree, options);
}

// Whether a comma in the answer parts a number from just three digits: 1,234 is 1234, not 1.234.
bool groups_thousands(std::string_view text) {
  const auto is_digit = [&](size_t i) {
    return i < text.size() && text[i] >= '0' && text[i] <= '9';
  };
  for (size_t at = text.find(','); at != std::string_view::npos; at = text.find(',', at + 1)) {
    const bool before = at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9';
    const bool zero = at > 0 && text[at - 1] == '0' && (at < 2 || !is_digit(at - 2));
    const bool three =
        is_digit(at + 1) && is_digit(at + 2) && is_digit(at + 3) && !is_digit(at + 4);
    if (before && three && !zero) return true;
  }
  return false;
}

// "9.9m^2" as it stands in a line of words, its unit marked as such: in a formula m is a variable.
std::string with_marked_unit(std::string_view number) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const size_t unit = number.find_first_of(kLetters);
  if (unit == std::string_view::npos) return std::string(number);
  const size_t end = std::min(number.find_first_not_of(kLetters, unit), number.size());
  return std::string(number.substr(0, unit)) + " \\text{" +
         std::string(number.substr(unit, end - unit)) + "}" + std::string(number.substr(end));
}

// "so there are **8** left" without its marks, but 2**3 with its power.
std::string without_bold(std::string_view text) {
  constexpr std::string_view kMark = "**";
  const auto stands_apart = [&](size_t at) {
    return at == std::string_view::npos || at >= text.size() ||
           std::string_view(" \t\n.,;:!?()$").find(text[at]) != std::string_view::npos;
  };
  std::string out;
  while (!text.empty()) {
    const size_t open = text.find(kMark);
    const size_t close = open == std::string_view::npos ? open : text.find(kMark, open + 2);
    if (close == std::string_view::npos) break;
    const bool bold = stands_apart(open - 1) && stands_apart(close + 2) && close > open + 2;
    out += text.substr(0, bold ? open : close);
    if (bold) out += text.substr(open + 2, close - open - 2);
    text.remove_prefix(bold ? close + 2 : close);
    if (!bold) {
      out += kMark;
      text.remove_prefix(2);
    }
  }
  return out + std::string(text);
}

// FLINT keeps caches for each thread that it works on; they go with the thread.
struct FlintCaches {
  FlintCaches() = default;
  FlintCaches(const FlintCaches&) = delete;
  FlintCaches& operator=(const FlintCaches&) = delete;
  ~FlintCaches() { flint_cleanup(); }
};

Outcome compare(std::string_view gold, std::string_view answer, const CompareOptions& options) {
  static thread_local const FlintCaches caches;
  const Reading g = read_math_answer(gold, CommaMode::grouping);
  const Reading a = read_math_answer(answer, CommaMode::grouping);
  if (g.too_large || a.too_large) return Outcome::unreadable;
  if (!g.words.empty() && g.words == a.words) return Outcome::same;
  bool alone = false;
  const bool choice = chosen_letter(g.words, alone) != '\0' && alone;
  const bool times =
      (is_time(g.words) && is_time(a.words)) || is_only_a_time(g.words) || is_only_a_time(a.words);
  if (choice || times) return outcome_of(same_words(g.words, a.words));
  if (says_no_solution(g.words) || says_no_solution(a.words)) {
    const auto none = [](const Reading& r) {
      return says_no_solution(r.words) ||
             (r.tree != nullptr && r.tree->kind == NodeKind::empty_set);
    };
    return outcome_of(none(g) && none(a));
  }
  if (g.tree == nullptr || a.tree == nullptr) {
    const bool same = same_words(g.words, a.words) || same_notation(gold, answer);
    if (same || g.tree == nullptr) return outcome_of(same);
  }
  Outcome outcome = Outcome::unreadable;
  if (a.tree != nullptr) outcome = outcome_of(*g.tree, *a.tree, options);
  if (outcome == Outcome::same) return outcome;
  if (a.tree != nullptr && is_out_of_reach(*a.tree)) return Outcome::unreadable;
  if (answer.find(',') == std::string_view::npos) return outcome;
  // 1,234 may be two numbers where the gold is a collection or is written with the same comma, and
  // 3,14 is 3.14 where the gold is one value.
  if (is_collection(*g.tree) || gold.find(',') != std::string_view::npos) {
    return compare_as(gold, answer, CommaMode::separating, options);
  }
  const bool decimal = is_scalar(*g.tree) && !groups_thousands(answer);
  return decimal ? compare_as(gold, answer, CommaMode::decimal, options) : outcome;
}

}  // namespace

bool same_math(std::string_view gold, std::string_view answer, const CompareOptions& options) {
  return compare(gold, answer, options) == Outcome::same;
}

Verdict check_math(std::string_view gold, std::string_view completion,
                   const CompareOptions& options) {
  std::string reason;
  const auto expected = gold_answer(gold, reason);
  if (!expected) return verdict_bad_gold("gold: " + reason);
  const Reading readable = read_math_answer(expected->text, CommaMode::grouping);
  if (readable.too_large) return verdict_bad_gold("the gold is too large");
  // A completion that is the gold and nothing else needs no reading.
  const std::string_view whole = trimmed(after_thinking(completion));
  if (whole.size() <= 200 && whole == trimmed(gold)) return verdict_ok(std::string(whole));
  const auto answer = final_answer(completion, reason);
  if (!answer) return verdict_no_answer(reason);
  std::string extracted = shortened(answer->text, 200);
  Outcome outcome = compare(expected->text, answer->text, options);
  const bool number = readable.tree != nullptr && symbols_of(*readable.tree).empty();
  if (outcome == Outcome::different && number && !answer->coefficient.empty()) {
    outcome = compare(expected->text, answer->coefficient, options);
  }
  if (outcome == Outcome::unreadable &&
      (answer->mark == AnswerMark::whole || answer->mark == AnswerMark::phrase)) {
    // A line of words without any mark: the last number in it, if it stands free. A sentence that
    // is marked as the answer: the value that it names.
    const std::string plain_text = without_bold(answer->text);
    const auto number =
        answer->mark == AnswerMark::whole ? last_number(plain_text) : value_in_sentence(plain_text);
    if (number) {
      extracted = std::string(number->text);
      const bool plain = number->mark == AnswerMark::number;
      outcome =
          compare(expected->text,
                  plain ? with_marked_unit(number->text) : std::string(number->text), options);
    }
  }
  if (outcome == Outcome::same) return verdict_ok(extracted);
  if (outcome == Outcome::different) {
    return verdict_wrong(extracted, "the gold is " + shortened(expected->text));
  }
  if (outcome == Outcome::undecided) {
    return verdict_wrong(extracted,
                         "not decided whether it is the gold, " + shortened(expected->text));
  }
  Verdict verdict = verdict_no_answer("not a formula that can be read as a whole, or too large");
  verdict.extracted = extracted;
  return verdict;
}

}  // namespace temper
