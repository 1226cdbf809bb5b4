#include "reward/rules/countdown.h"

#include <algorithm>

#include "reward/text.h"

namespace temper {
namespace {

constexpr size_t kMaxBytes = 512, kMaxNumbers = 64, kMaxDigits = 18;

// Recursive descent over  sum := product (('+'|'-') product)*,  product := atom (('*'|'/') atom)*,
// atom := integer | '(' sum ')'. The budget of bytes bounds the recursion.
class ExpressionReader {
 public:
  explicit ExpressionReader(std::string_view text) : rest_(text) {}

  std::optional<CountdownExpression> read(std::string& reason) {
    mpq_class value = sum();
    if (fault_.empty() && next() != '\0') fault_ = "not an expression";
    reason = fault_;
    if (!fault_.empty()) return std::nullopt;
    return CountdownExpression{std::move(value), std::move(used_)};
  }

 private:
  // The next operator, parenthesis or digit; '?' for what an expression cannot hold; 0 at the end.
  char next() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n')) {
      rest_.remove_prefix(1);
    }
    width_ = 1;
    if (rest_.empty()) return '\0';
    if (rest_.starts_with("\xC3\x97")) return width_ = 2, '*';
    if (rest_.starts_with("\xC3\xB7")) return width_ = 2, '/';
    if (rest_.starts_with("\xE2\x88\x92")) return width_ = 3, '-';
    const char c = rest_.front();
    return std::string_view("+-*/()0123456789").find(c) == std::string_view::npos ? '?' : c;
  }
  void take() { rest_.remove_prefix(width_); }

  mpq_class sum() {
    mpq_class value = product();
    for (char op = next(); fault_.empty() && (op == '+' || op == '-'); op = next()) {
      take();
      const mpq_class right = product();
      value = op == '+' ? mpq_class(value + right) : mpq_class(value - right);
    }
    return value;
  }

  mpq_class product() {
    mpq_class value = atom();
    for (char op = next(); fault_.empty() && (op == '*' || op == '/'); op = next()) {
      take();
      const mpq_class right = atom();
      if (op == '/' && right == 0) {
        if (fault_.empty()) fault_ = "division by zero";
        return value;
      }
      value = op == '*' ? mpq_class(value * right) : mpq_class(value / right);
    }
    return value;
  }

  mpq_class atom() {
    const char c = next();
    if (c == '(') {
      take();
      mpq_class value = sum();
      if (next() == ')') {
        take();
      } else if (fault_.empty()) {
        fault_ = "a parenthesis is not closed";
      }
      return value;
    }
    size_t digits = 0;
    while (digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9') ++digits;
    if (digits == 0 || digits > kMaxDigits || used_.size() == kMaxNumbers) {
      if (fault_.empty()) fault_ = digits == 0 ? "not an expression" : "too many digits or numbers";
      return 0;
    }
    used_.emplace_back(std::string(rest_.substr(0, digits)), 10);
    rest_.remove_prefix(digits);
    return mpq_class(used_.back());
  }

  std::string_view rest_;
  size_t width_ = 1;
  std::string fault_;
  std::vector<mpz_class> used_;
};

// The row's task; nullopt with a reason if a field is missing or not of integers.
struct Task {
  std::vector<mpz_class> numbers;
  mpz_class target;
};
std::optional<Task> task_of(const JsonValue* row, std::string& reason) {
  const JsonValue* numbers =
      row != nullptr && row->IsObject() ? find_member(*row, "numbers") : nullptr;
  if (numbers == nullptr || !numbers->IsArray() || numbers->Empty()) {
    reason = "the row has no list 'numbers'";
    return std::nullopt;
  }
  const JsonValue* target = find_member(*row, "target");
  if (target == nullptr || !target->IsInt64()) {
    reason = "the row has no integer 'target'";
    return std::nullopt;
  }
  Task task;
  task.target = static_cast<long>(target->GetInt64());
  for (const JsonValue& number : numbers->GetArray()) {
    if (!number.IsInt64()) {
      reason = "'numbers' holds something that is not an integer";
      return std::nullopt;
    }
    task.numbers.emplace_back(static_cast<long>(number.GetInt64()));
  }
  return task;
}

// Why `used` does not use `given` as allowed; "" if it does.
std::string misuse(std::vector<mpz_class> used, std::vector<mpz_class> given, bool all) {
  std::sort(used.begin(), used.end());
  std::sort(given.begin(), given.end());
  if (!std::includes(given.begin(), given.end(), used.begin(), used.end())) {
    return "uses a number that is not given, or one more often than given";
  }
  return all && used.size() != given.size() ? "does not use every number" : "";
}

class CountdownRule final : public RewardRule {
 public:
  explicit CountdownRule(bool use_all) : use_all_(use_all) {}

  Verdict score(const RewardInput& input) const override {
    std::string reason;
    const std::optional<Task> task = task_of(input.row, reason);
    if (!task) return verdict_bad_gold(reason);
    bool use_all = use_all_;
    if (const JsonValue* use = find_member(*input.row, "use")) {
      const std::string_view word = use->IsString() ? use->GetString() : "";
      if (word != "all" && word != "at_most") {
        return verdict_bad_gold("the row's 'use' is neither all nor at_most");
      }
      use_all = word == "all";
    }
    if (thinks_without_end(input.prompt, input.completion)) {
      return verdict_no_answer("the thinking is not closed");
    }
    const auto answer = only_answer(after_thinking(input.completion), reason);
    if (!answer) return verdict_no_answer(reason);
    const auto expression = evaluate_countdown(*answer, reason);
    if (!expression) return verdict_wrong(shortened(*answer), reason);
    reason = misuse(expression->used, task->numbers, use_all);
    if (!reason.empty()) return verdict_wrong(shortened(*answer), reason);
    if (expression->value != task->target) {
      return verdict_wrong(shortened(*answer), "equals " + shortened(expression->value.get_str()) +
                                                   ", not " + task->target.get_str());
    }
    return verdict_ok(std::string(*answer));
  }

 private:
  bool use_all_;
};

}  // namespace

std::optional<CountdownExpression> evaluate_countdown(std::string_view text, std::string& reason) {
  if (text.size() > kMaxBytes) {
    reason = "the expression is too long";
    return std::nullopt;
  }
  return ExpressionReader(text).read(reason);
}

RuleInfo countdown_rule() {
  return {"countdown",
          "the expression in <answer> reaches the row's target with the row's numbers: 1 or 0",
          {{"use", "all", "how often each number is used", {"all", "at_most"}}},
          [](const RuleParameters& parameters) -> std::unique_ptr<RewardRule> {
            return std::make_unique<CountdownRule>(parameters.text("use") == "all");
          }};
}

}  // namespace temper
