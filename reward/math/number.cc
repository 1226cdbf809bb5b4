#include "reward/math/number.h"

#include <cctype>
#include <string>

#include "reward/text.h"

namespace temper {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Reads one number from left to right.
class NumberReader {
 public:
  explicit NumberReader(std::string_view text) : text_(text) {}

  std::optional<mpq_class> read() {
    const bool negative = sign();
    eat("$");
    if (at_ == 0 && negative) return std::nullopt;
    auto value = fraction();
    if (!value) value = quotient();
    if (!value) return std::nullopt;
    if (eat("%")) *value /= 100;
    unit();
    if (at_ != text_.size()) return std::nullopt;
    return negative ? mpq_class(-*value) : *value;
  }

 private:
  bool eat(std::string_view piece) {
    if (!text_.substr(at_).starts_with(piece)) return false;
    at_ += piece.size();
    return true;
  }

  bool sign() {
    if (eat("-")) return true;
    eat("+");
    return false;
  }

  // \frac{a}{b}
  std::optional<mpq_class> fraction() {
    if (!eat("\\frac{")) return std::nullopt;
    const auto above = decimal();
    if (!above || !eat("}{")) return std::nullopt;
    const auto below = decimal();
    if (!below || *below == 0 || !eat("}")) return std::nullopt;
    return mpq_class(*above / *below);
  }

  // a or a/b
  std::optional<mpq_class> quotient() {
    auto value = decimal();
    if (!value || !eat("/")) return value;
    const auto below = decimal();
    if (!below || *below == 0) return std::nullopt;
    return mpq_class(*value / *below);
  }

  // Digits with thousands separators, then perhaps a point and digits.
  std::optional<mpq_class> decimal() {
    std::string digits;
    while (at_ < text_.size() && is_digit(text_[at_])) digits += text_[at_++];
    const bool can_group = !digits.empty() && digits.size() <= 3;
    while (can_group && at_ + 3 < text_.size() && text_[at_] == ',' && is_digit(text_[at_ + 1]) &&
           is_digit(text_[at_ + 2]) && is_digit(text_[at_ + 3])) {
      digits += text_.substr(at_ + 1, 3);
      at_ += 4;
    }
    mpz_class scale = 1;
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      for (; at_ < text_.size() && is_digit(text_[at_]); ++at_) {
        digits += text_[at_];
        scale *= 10;
      }
    }
    if (digits.empty()) return std::nullopt;
    mpq_class value(mpz_class(digits, 10), scale);
    value.canonicalize();
    return value;
  }

  // " dollars", "cm", "\text{ inches}": words after the number.
  void unit() {
    const size_t start = at_;
    if (eat("\\text{") || eat("\\mathrm{")) {
      while (at_ < text_.size() && text_[at_] != '}') ++at_;
      if (!eat("}")) at_ = start;
      return;
    }
    while (at_ < text_.size() &&
           (std::isalpha(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == ' ')) {
      ++at_;
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

// One spelling for each thing: no spacing commands, \frac for its variants, plain signs.
std::string respelled(std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> kSpellings[] = {
      {"\\dfrac", "\\frac"}, {"\\tfrac", "\\frac"}, {"\\$", "$"}, {"\\%", "%"},
      {"\\!", ""},           {"\\,", ""},           {"\\ ", " "}, {"{,}", ","},
      {"\xE2\x88\x92", "-"}, {"\xC2\xA0", " "},     {"**", ""}};
  std::string out;
  while (!text.empty()) {
    bool replaced = false;
    for (const auto& [from, to] : kSpellings) {
      if (!text.starts_with(from)) continue;
      out += to;
      text.remove_prefix(from.size());
      replaced = true;
      break;
    }
    if (replaced) continue;
    out += text.front();
    text.remove_prefix(1);
  }
  return out;
}

}  // namespace

std::optional<mpq_class> parse_number(std::string_view text) {
  if (text.size() > 200) return std::nullopt;
  std::string spelled = respelled(trimmed(text));
  std::string_view inner = trimmed(spelled);
  if (inner.size() > 2 && inner.front() == '$' && inner.back() == '$') {
    inner = trimmed(inner.substr(1, inner.size() - 2));
  }
  return NumberReader(inner).read();
}

}  // namespace temper
