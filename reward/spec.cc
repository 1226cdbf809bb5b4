#include "reward/spec.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "core/error.h"

namespace temper {
namespace {

constexpr std::string_view kExample =
    "RULE(PARAMETER=VALUE)=WEIGHT as NAME for FIELD=VALUE if NAME clamp LO..HI";

bool in_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

// Reads items of the text form from left to right.
class SpecReader {
 public:
  SpecReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  RewardSpec read() {
    RewardSpec spec;
    skip_spaces();
    while (at_ < text_.size()) {
      read_item(spec);
      skip_spaces();
      if (at_ < text_.size()) expect(',', "',' between components");
      skip_spaces();
    }
    return spec;
  }

 private:
  void read_item(RewardSpec& spec) {
    const std::string rule = word("the name of a rule");
    skip_spaces();
    if (rule == "total") {
      if (word("'clamp'") != "clamp") fail("total clamp LO..HI");
      spec.total_clamp = clamp();
      return;
    }
    RewardComponentSpec component{.name = rule, .rule = rule};
    if (peek() == '(') read_parameters(component);
    skip_spaces();
    if (peek() == '=') {
      ++at_;
      component.weight = number();
    }
    skip_spaces();
    while (at_ < text_.size() && peek() != ',') {
      const std::string key = word(std::string(kExample));
      skip_spaces();
      if (key == "as") {
        component.name = word("a name");
      } else if (key == "if" || key == "unless") {
        if (!component.gate.empty()) fail("one gate, if or unless");
        component.gate = word("the name of a component");
        component.gate_negated = key == "unless";
      } else if (key == "for") {
        if (!component.row_field.empty()) fail("one 'for', with its values as FIELD=A|B");
        read_rows(component);
      } else if (key == "clamp") {
        component.clamp = clamp();
      } else {
        fail(std::string(kExample));
      }
      skip_spaces();
    }
    spec.components.push_back(std::move(component));
  }

  void read_rows(RewardComponentSpec& component) {
    component.row_field = word("a field of the rows");
    skip_spaces();
    expect('=', "'=' after a field of the rows");
    skip_spaces();
    for (;;) {
      component.row_values.push_back(peek() == '"' ? quoted() : word("a value of the field"));
      if (peek() != '|') return;
      ++at_;
    }
  }

  void read_parameters(RewardComponentSpec& component) {
    ++at_;
    for (;;) {
      skip_spaces();
      if (peek() == ')') break;
      const std::string name = word("the name of a parameter");
      skip_spaces();
      expect('=', "'=' after a parameter's name");
      component.parameters[name] = parameter_value();
      skip_spaces();
      if (peek() == ';' || peek() == ',') {
        ++at_;
      } else if (peek() != ')') {
        fail("';' or ')' after a parameter");
      }
    }
    ++at_;
  }

  std::string quoted() {
    std::string value;
    for (++at_; peek() != '"'; ++at_) {
      if (peek() == '\\') ++at_;
      if (at_ >= text_.size()) fail("a closing quote");
      value += text_[at_];
    }
    ++at_;
    return value;
  }

  std::string parameter_value() {
    skip_spaces();
    std::string value;
    if (peek() == '"') return quoted();
    while (at_ < text_.size() && peek() != ';' && peek() != ',' && peek() != ')') {
      value += text_[at_++];
    }
    while (!value.empty() && value.back() == ' ') value.pop_back();
    return value;
  }

  RewardClamp clamp() {
    skip_spaces();
    RewardClamp range;
    range.low = number();
    expect('.', "LO..HI");
    expect('.', "LO..HI");
    range.high = number();
    if (range.low > range.high) fail("LO..HI with LO <= HI");
    return range;
  }

  // A number that stops before "..", which strtod would half eat.
  double number() {
    skip_spaces();
    const size_t start = at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool sign = (c == '-' || c == '+') &&
                        (at_ == start || text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E');
      const bool point = c == '.' && text_.substr(at_, 2) != "..";
      if (!(c >= '0' && c <= '9') && c != 'e' && c != 'E' && !sign && !point) break;
      ++at_;
    }
    const std::string piece(text_.substr(start, at_ - start));
    char* end = nullptr;
    const double value = std::strtod(piece.c_str(), &end);
    if (piece.empty() || *end != '\0' || !std::isfinite(value)) {
      at_ = start;
      fail("a number");
    }
    return value;
  }

  std::string word(const std::string& expected) {
    const size_t start = at_;
    while (at_ < text_.size()) {
      if (!in_word(text_[at_])) break;
      ++at_;
    }
    if (at_ == start) fail(expected);
    return std::string(text_.substr(start, at_ - start));
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_spaces() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n') ++at_;
  }
  void expect(char c, const std::string& expected) {
    if (peek() != c) fail(expected);
    ++at_;
  }
  [[noreturn]] void fail(const std::string& expected) const {
    throw UserError({.what = "cannot read the reward",
                     .where = where_ + ", character " + std::to_string(at_ + 1),
                     .expected = expected,
                     .found = at_ < text_.size() ? std::string(text_.substr(at_, 24)) : "its end",
                     .hint = "for instance math=1,format=0.2"});
  }

  std::string_view text_;
  std::string where_;
  size_t at_ = 0;
};

std::string text_of_number(double value) {
  char buffer[32];
  for (int digits = 6; digits <= 17; ++digits) {
    std::snprintf(buffer, sizeof buffer, "%.*g", digits, value);
    if (std::strtod(buffer, nullptr) == value) break;
  }
  return buffer;
}

std::string quoted_text(const std::string& value) {
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string quoted_if_needed(const std::string& value) {
  const bool plain = !value.empty() && value.find_first_of("\"\\;,) ") == std::string::npos;
  return plain ? value : quoted_text(value);
}

std::string text_of_rows(const RewardComponentSpec& c) {
  if (c.row_field.empty()) return "";
  std::string text = " for " + c.row_field;
  for (size_t i = 0; i < c.row_values.size(); ++i) {
    const std::string& value = c.row_values[i];
    const bool plain = !value.empty() && std::all_of(value.begin(), value.end(), in_word);
    text += (i == 0 ? "=" : "|") + (plain ? value : quoted_text(value));
  }
  return text;
}

std::string text_of_clamp(const RewardClamp& clamp) {
  if (!std::isfinite(clamp.low) || !std::isfinite(clamp.high)) return "";
  return " clamp " + text_of_number(clamp.low) + ".." + text_of_number(clamp.high);
}

}  // namespace

RewardSpec parse_reward_spec(std::string_view text, const std::string& where) {
  return SpecReader(text, where).read();
}

std::string text_of(const RewardSpec& spec) {
  std::string text;
  for (const RewardComponentSpec& c : spec.components) {
    text += (text.empty() ? "" : ",") + c.rule;
    std::string inside;
    for (const auto& [name, value] : c.parameters) {
      inside += (inside.empty() ? "" : ";") + name + "=" + quoted_if_needed(value);
    }
    if (!inside.empty()) text += "(" + inside + ")";
    text += "=" + text_of_number(c.weight);
    if (c.name != c.rule) text += " as " + c.name;
    text += text_of_rows(c);
    if (!c.gate.empty()) text += (c.gate_negated ? " unless " : " if ") + c.gate;
    text += text_of_clamp(c.clamp);
  }
  const std::string total = text_of_clamp(spec.total_clamp);
  if (!total.empty()) text += ",total" + total;
  return text;
}

}  // namespace temper
