#include "reward/math/formulas.h"

#include <algorithm>
#include <cctype>

#include "reward/math/units.h"
#include "reward/text.h"

namespace temper {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0;
}
bool is_escaped(std::string_view text, size_t at) {
  return at > 0 && text[at - 1] == '\\';
}

size_t find_unescaped(std::string_view text, std::string_view mark, size_t from) {
  size_t at = text.find(mark, from);
  while (at != kNone && is_escaped(text, at)) at = text.find(mark, at + 1);
  return at;
}

// The '$' that closes the one at `open`, or kNone: a formula neither begins nor ends with a space
// beside its dollar, is not empty, and its closing dollar stands before no digit.
size_t closing_dollar(std::string_view text, size_t open) {
  if (open + 1 >= text.size()) return kNone;
  const size_t close = find_unescaped(text, "$", open + 1);
  if (close == kNone || close == open + 1) return kNone;
  const bool amount = is_digit(text[open + 1]);
  const bool before_digit = close + 1 < text.size() && is_digit(text[close + 1]);
  if (amount && (text[close - 1] == ' ' || before_digit)) return kNone;
  const std::string_view inner = text.substr(open, close - open);
  return inner.find("\n\n") == kNone ? close : kNone;
}

// The end of the unit's words after a formula, if the sentence ends there; else `from`.
size_t end_of_unit(std::string_view text, size_t from) {
  size_t at = from;
  size_t words = 0;
  while (at < text.size() && text[at] != '\n') {
    if (text[at] == ' ' || text[at] == '/' || text[at] == '^' || is_digit(text[at])) {
      ++at;
    } else if (is_letter(text[at])) {
      const size_t start = at;
      while (at < text.size() && is_letter(text[at])) ++at;
      if (++words > 4 || breaks_unit_phrase(text.substr(start, at - start))) return from;
    } else {
      break;
    }
  }
  const bool ends =
      at >= text.size() || text[at] == '\n' ||
      (text[at] == '.' && (at + 1 >= text.size() || text[at + 1] == ' ' || text[at + 1] == '\n'));
  return ends && words > 0 ? at : from;
}

}  // namespace

std::vector<FormulaSpan> find_formulas(std::string_view text) {
  std::vector<FormulaSpan> found;
  for (size_t at = 0; at < text.size();) {
    const std::string_view two = text.substr(at, 2);
    size_t close = kNone, width = 2;
    if (is_escaped(text, at)) {
      ++at;
      continue;
    }
    if (two == "$$") {
      close = find_unescaped(text, "$$", at + 2);
    } else if (two == "\\(") {
      close = text.find("\\)", at + 2);
    } else if (two == "\\[") {
      close = text.find("\\]", at + 2);
    } else if (text[at] == '$') {
      width = 1;
      close = closing_dollar(text, at);
    }
    if (close == kNone) {
      ++at;
      continue;
    }
    found.push_back({at, close + width, at + width, close});
    at = close + width;
  }
  return found;
}

bool only_joins(std::string_view text) {
  constexpr std::string_view kJoins[] = {"\\text{and}", "\\text{ and }",
                                         "\\text{or}",  "\\text{ or }",
                                         "\\quad",      "\\qquad",
                                         "\\(",         "\\)",
                                         "and",         "or",
                                         "$",           ",",
                                         ";",           " ",
                                         "\n"};
  while (!text.empty()) {
    const auto join = std::find_if(std::begin(kJoins), std::end(kJoins),
                                   [&](std::string_view j) { return text.starts_with(j); });
    if (join == std::end(kJoins)) return false;
    text.remove_prefix(join->size());
  }
  return true;
}

bool joins_boxes(std::string_view text) {
  if (only_joins(text)) return true;
  text = trimmed(text);
  const auto drop_back = [&](const auto& drops) {
    while (!text.empty() && drops(text.back())) text.remove_suffix(1);
  };
  if (text.ends_with('=')) {  // "and $y_2 ="
    text = trimmed(text.substr(0, text.size() - 1));
    const size_t size = text.size();
    drop_back([](char c) {
      return is_letter(c) || is_digit(c) || std::string_view("_{}()'").find(c) != kNone;
    });
    if (text.size() == size || size - text.size() > 8) return false;
    while (text.ends_with(' ') || text.ends_with('$') || text.ends_with("\\(")) {
      text.remove_suffix(text.ends_with('(') ? 2 : 1);
    }
  }
  size_t word = 0;
  while (word < text.size() && is_letter(text[word])) ++word;
  const std::string_view rest = trimmed(text.substr(word));
  const bool conjunction = rest.starts_with("and") || rest.starts_with("or");
  if (word > 0 && conjunction) text = rest;
  return !text.empty() && only_joins(text);
}

bool is_monomial(std::string_view text) {
  text = trimmed(text);
  if (text.empty() || text.size() > 20 || text.find('^') == kNone) return false;
  for (size_t i = 0; i < text.size();) {
    if (!is_letter(text[i++])) return false;
    if (i < text.size() && text[i] == '^') {
      const bool group = text.substr(++i).starts_with('{');
      i += group ? 1 : 0;
      const size_t digits = i;
      while (i < text.size() && is_digit(text[i]) && (group || i == digits)) ++i;
      if (i == digits || (group && !text.substr(i).starts_with('}'))) return false;
      i += group ? 1 : 0;
    }
    while (i < text.size() && text[i] == ' ') ++i;
  }
  return true;
}

std::string_view formula_group(std::string_view text, const std::vector<FormulaSpan>& formulas,
                               size_t last) {
  size_t first = last;
  const auto gap_before = [&](size_t i) {
    return text.substr(formulas[i - 1].end, formulas[i].begin - formulas[i - 1].end);
  };
  while (first > 0 && only_joins(gap_before(first)) &&
         gap_before(first).find('\n') == std::string_view::npos) {
    --first;
  }
  const size_t end = end_of_unit(text, formulas[last].end);
  return trimmed(text.substr(formulas[first].begin, end - formulas[first].begin));
}

std::string_view formula_group_from(std::string_view text, const std::vector<FormulaSpan>& formulas,
                                    size_t first) {
  size_t last = first;
  while (
      last + 1 < formulas.size() &&
      only_joins(text.substr(formulas[last].end, formulas[last + 1].begin - formulas[last].end))) {
    ++last;
  }
  const size_t end = end_of_unit(text, formulas[last].end);
  return trimmed(text.substr(formulas[first].begin, end - formulas[first].begin));
}

}  // namespace temper
