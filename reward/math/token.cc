#include "reward/math/token.h"

#include <gmpxx.h>

#include "reward/math/notation.h"

namespace temper {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

class Tokenizer {
 public:
  Tokenizer(std::string_view text, CommaMode commas, size_t limit)
      : text_(text), commas_(commas), limit_(limit) {}

  std::optional<std::vector<Token>> run() {
    read_until(text_.size(), false);
    if (tokens_.size() > limit_) return std::nullopt;
    push(TokenKind::end);
    return std::move(tokens_);
  }

 private:
  void read_until(size_t stop, bool in_text) {
    const size_t outer_stop = stop_;
    const bool outer_text = in_text_;
    stop_ = stop;
    in_text_ = in_text;
    while (at_ < stop_ && tokens_.size() <= limit_) step();
    stop_ = outer_stop;
    in_text_ = outer_text;
  }

  void step() {
    const char c = peek();
    if (c == ' ' || (c >= '\t' && c <= '\r') || c == '~') {
      ++at_;
      space_ = true;
    } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      number();
    } else if (is_letter(c)) {
      letters();
    } else if (c == '\\') {
      command();
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      wide_character();
    } else {
      punctuation(c);
    }
  }

  // 0xFF, 0b101 and 0o17, as programs write them.
  bool based_literal() {
    if (peek() != '0' || in_text_) return false;
    const int base = peek(1) == 'x' ? 16 : peek(1) == 'b' ? 2 : peek(1) == 'o' ? 8 : 0;
    size_t length = 2;
    const auto digit = [](char c) {
      if (is_digit(c)) return c - '0';
      return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
    };
    while (base != 0 && digit(peek(length)) < base) ++length;
    if (length == 2 || length > 250 || is_digit(peek(length)) || is_letter(peek(length))) {
      return false;
    }
    const mpz_class value(std::string(text_.substr(at_ + 2, length - 2)), base);
    at_ += length;
    push(TokenKind::number, value.get_str());
    return true;
  }

  void number() {
    if (based_literal()) return;
    std::string digits;
    take_digits(digits);
    const size_t whole = digits.size();
    if (commas_ == CommaMode::grouping && whole >= 1 && whole <= 3) {
      while (take_group(digits, digits.size() == whole)) {
      }
    }
    const bool alone = commas_ == CommaMode::decimal && depth_ == 0 && groups_ == 0;
    const bool decimal_comma = alone && peek() == ',' && is_digit(peek(1));
    if (decimal_comma || (peek() == '.' && peek(1) != '.')) {
      ++at_;
      digits += '.';
      take_digits(digits);
    }
    if ((peek() == 'e' || peek() == 'E') && !in_text_) take_exponent(digits);
    push(TokenKind::number, digits);
  }

  void take_digits(std::string& digits) {
    while (at_ < stop_ && is_digit(text_[at_])) digits += text_[at_++];
  }

  // A separator and exactly three digits: "1,234", "1{,}234", "1\,234", "1 234".
  bool take_group(std::string& digits, bool first) {
    constexpr std::string_view kAlways[] = {"{,}", "{, }", " {, }", ",\\!",        ",\\! ",
                                            "\\,", "\\ ",  "\\;",   "\xE2\x80\xAF"};
    size_t length = 0;
    for (const std::string_view separator : kAlways) {
      if (rest().starts_with(separator)) length = separator.size();
    }
    if (length == 0 && depth_ == 0 && peek() == ',') length = 1;
    if (length == 0 && depth_ == 0 && peek() == ' ') length = 1;
    if (length == 0) return false;
    if (!first && separator_ != text_.substr(at_, length)) return false;
    for (size_t i = 0; i < 3; ++i) {
      if (!is_digit(peek(length + i))) return false;
    }
    if (is_digit(peek(length + 3))) return false;
    separator_ = text_.substr(at_, length);
    digits += text_.substr(at_ + length, 3);
    at_ += length + 3;
    return true;
  }

  void take_exponent(std::string& digits) {
    const bool sign = peek(1) == '-' || peek(1) == '+';
    if (!is_digit(peek(sign ? 2 : 1))) return;
    digits += 'e';
    ++at_;
    if (sign) digits += text_[at_++];
    take_digits(digits);
  }

  void letters() {
    const size_t start = at_;
    while (at_ < stop_ && is_letter(text_[at_])) ++at_;
    const std::string_view word = text_.substr(start, at_ - start);
    const auto meaning = plain_word(word);
    if (meaning && (!in_text_ || meaning->kind == TokenKind::conjunction)) {
      push(meaning->kind, meaning->text);
    } else {
      push(word.size() == 1 && !in_text_ ? TokenKind::symbol : TokenKind::word, word);
    }
  }

  void command() {
    ++at_;
    const size_t start = at_;
    while (at_ < stop_ && is_letter(text_[at_])) ++at_;
    if (at_ == start && at_ < stop_) ++at_;
    const std::string_view name = text_.substr(start, at_ - start);
    if (name == "text" || name == "textbf" || name == "textit" || name == "mbox" ||
        name == "textrm" || name == "textsf" || name == "mathrm" || name == "operatorname" ||
        name == "hbox" || name == "mathnormal" || name == "textnormal" || name == "rm") {
      text_group(name);
    } else if (const int groups = unseen_groups(name)) {
      for (int i = 0; i < groups; ++i) skip_group();
    } else if (name == "begin" || name == "end") {
      environment(name == "begin");
    } else if (const auto meaning = latex_command(name)) {
      if (meaning->kind == TokenKind::row_break) skip_row_distance();
      if (meaning->kind == TokenKind::end) {
        if (name != "!") space_ = true;
      } else {
        push(meaning->kind, meaning->text);
        if (meaning->kind == TokenKind::open_brace) ++depth_;
        if (meaning->kind == TokenKind::close_brace) --depth_;
      }
    } else if (name.starts_with("quad") || name.starts_with("qquad")) {
      at_ =
          start + (name.front() == 'q' && name[1] == 'q' ? 5 : 4);  // "\\quadx": a space is missing
      space_ = true;
    } else {
      push(TokenKind::unknown, name);
    }
  }

  // Jumps over a group in braces.
  void skip_group() {
    while (at_ < stop_ && text_[at_] == ' ') ++at_;
    if (peek() != '{') return;
    for (int depth = 0; at_ < stop_; ++at_) {
      if (text_[at_] == '{') ++depth;
      if (text_[at_] == '}' && --depth == 0) break;
    }
    if (at_ < stop_) ++at_;
    space_ = true;
  }

  // The "[4pt]" that may follow a row break.
  void skip_row_distance() {
    if (peek() != '[') return;
    size_t digits = 1;
    while (is_digit(peek(digits)) || peek(digits) == '.' || peek(digits) == '-') ++digits;
    size_t end = digits;
    while (is_letter(peek(end))) ++end;
    if (digits > 1 && end == digits + 2 && peek(end) == ']') at_ += end + 1;
  }

  // The content of \text{...}; \mathrm{e} and the like keep their meaning.
  void text_group(std::string_view name) {
    while (at_ < stop_ && text_[at_] == ' ') ++at_;
    if (peek() != '{') return;
    size_t end = at_ + 1;
    for (int depth = 1; end < stop_; ++end) {
      if (text_[end] == '{') ++depth;
      if (text_[end] == '}' && --depth == 0) break;
    }
    ++at_;
    const std::string_view content = text_.substr(at_, end - at_);
    const bool upright = name == "mathrm" || name == "operatorname";
    if (upright && (content.size() == 1 || plain_word(content))) {
      read_until(end, false);
    } else {
      space_ = true;
      read_until(end, true);
    }
    at_ = end < text_.size() ? end + 1 : end;
    space_ = space_ || !upright;
  }

  void environment(bool begin) {
    const size_t close = peek() == '{' ? text_.find('}', at_) : std::string_view::npos;
    if (close == std::string_view::npos || close >= stop_) return push(TokenKind::unknown, "begin");
    const std::string_view name = text_.substr(at_ + 1, close - at_ - 1);
    at_ = close + 1;
    if (!is_matrix_environment(name)) return push(TokenKind::unknown, name);
    if (begin && name == "array" && peek() == '{') {
      const size_t end = text_.find('}', at_);
      at_ = end == std::string_view::npos ? stop_ : end + 1;
    }
    push(begin ? TokenKind::begin_matrix : TokenKind::end_matrix, name);
    depth_ += begin ? 1 : -1;
  }

  void wide_character() {
    const size_t start = at_;
    size_t length = 1;
    const auto meaning = special_character(rest(), length);
    at_ += length;
    if (!meaning) {
      while (at_ < stop_ && (static_cast<unsigned char>(text_[at_]) & 0xC0) == 0x80) ++at_;
      push(TokenKind::unknown, text_.substr(start, at_ - start));
    } else if (meaning->kind == TokenKind::end) {
      space_ = true;
    } else if (meaning->kind == TokenKind::power) {
      push(TokenKind::power);
      push(TokenKind::number, meaning->text);
    } else if (meaning->kind == TokenKind::fraction) {
      vulgar_fraction(meaning->text);
    } else {
      push(meaning->kind, meaning->text);
    }
  }

  void vulgar_fraction(std::string_view text) {
    push(TokenKind::fraction, "frac");
    for (const char digit : {text.front(), text.back()}) {
      push(TokenKind::open_group);
      push(TokenKind::number, std::string_view(&digit, 1));
      push(TokenKind::close_group);
    }
  }

  void punctuation(char c) {
    constexpr std::pair<std::string_view, Notation> kLong[] = {
        {"**", {TokenKind::power, ""}},      {"<=", {TokenKind::relation, "<="}},
        {">=", {TokenKind::relation, ">="}}, {"!=", {TokenKind::relation, "!="}},
        {"==", {TokenKind::relation, "="}},  {"+/-", {TokenKind::plus_minus, ""}},
        {"+-", {TokenKind::plus_minus, ""}},
    };
    for (const auto& [spelling, meaning] : kLong) {
      if (!rest().starts_with(spelling)) continue;
      at_ += spelling.size();
      return push(meaning.kind, meaning.text);
    }
    if (rest().starts_with("{:}")) {
      at_ += 3;
      return push(TokenKind::colon);
    }
    ++at_;
    switch (c) {
      case '+':
        return push(TokenKind::plus);
      case '-':
        return push(TokenKind::minus);
      case '*':
        return push(TokenKind::times);
      case '/':
        return push(TokenKind::divide);
      case '^':
        return push(TokenKind::power);
      case '_':
        return push(TokenKind::subscript);
      case '!':
        return push(TokenKind::factorial);
      case '\'':
        return push(TokenKind::prime);
      case '%':
        return push(TokenKind::percent);
      case '$':
        return push(TokenKind::currency, "$");
      case ',':
        return push(TokenKind::comma);
      case ';':
        return push(TokenKind::semicolon);
      case ':':
        return push(TokenKind::colon);
      case '|':
        return push(TokenKind::bar);
      case '{':
        return ++groups_, push(TokenKind::open_group);
      case '}':
        return --groups_, push(TokenKind::close_group);
      case '(':
        return ++depth_, push(TokenKind::open_paren);
      case ')':
        return --depth_, push(TokenKind::close_paren);
      case '[':
        return ++depth_, push(TokenKind::open_bracket);
      case ']':
        return --depth_, push(TokenKind::close_bracket);
      case '=':
        return push(TokenKind::relation, "=");
      case '<':
        return push(TokenKind::relation, "<");
      case '>':
        return push(TokenKind::relation, ">");
      case '&':
        return push(TokenKind::column_break);
      case '.':
        if (in_text_) return;  // "18 \\text{ ways.}"
        [[fallthrough]];
      default:
        return push(TokenKind::unknown, std::string_view(&c, 1));
    }
  }

  void push(TokenKind kind, std::string_view text = "") {
    tokens_.push_back({kind, std::string(text), space_, in_text_});
    space_ = false;
  }
  char peek(size_t ahead = 0) const { return at_ + ahead < stop_ ? text_[at_ + ahead] : '\0'; }
  std::string_view rest() const { return text_.substr(at_, stop_ - at_); }

  std::string_view text_;
  CommaMode commas_;
  size_t limit_;
  size_t at_ = 0, stop_ = 0;
  bool in_text_ = false, space_ = false;
  int depth_ = 0;   // of brackets that can hold a list
  int groups_ = 0;  // of braces
  std::string_view separator_;
  std::vector<Token> tokens_;
};

}  // namespace

std::optional<std::vector<Token>> tokenize_math(std::string_view text, CommaMode commas,
                                                size_t limit) {
  return Tokenizer(text, commas, limit).run();
}

}  // namespace temper
