#include "reward/math/reading.h"

#include <algorithm>

#include "reward/math/budget.h"
#include "reward/math/notation.h"
#include "reward/math/parser.h"
#include "reward/math/units.h"
#include "reward/text.h"

namespace temper {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Without **bold** marks, quotes, and a full stop at the end.
std::string_view without_wrapping(std::string_view text) {
  text = trimmed(text);
  for (const std::string_view mark : {"**", "\"", "`"}) {
    if (text.size() > 2 * mark.size() && text.starts_with(mark) && text.ends_with(mark)) {
      text = trimmed(text.substr(mark.size(), text.size() - 2 * mark.size()));
    }
  }
  const bool stray = text.size() > 1 && text.ends_with('\\') && !text.ends_with("\\\\");
  if (stray) text = trimmed(text.substr(0, text.size() - 1));
  while (text.size() > 1 && !text.ends_with("..") &&
         (text.ends_with('.') || text.ends_with(',') || text.ends_with(';')) &&
         !text.ends_with("\\,") && !text.ends_with("\\;")) {
    text = trimmed(text.substr(0, text.size() - 1));
  }
  return text;
}

// Whether the '$' at `at` stands before an amount of money and delimits no formula.
bool is_currency_sign(std::string_view text, size_t at) {
  if (at > 0 && text[at - 1] == '\\') return true;
  size_t after = at + 1;
  while (after < text.size() && text[after] == ' ') ++after;
  const bool amount = after < text.size() && (is_digit(text[after]) || text[after] == '.');
  if (!amount) return false;
  const size_t close = text.find('$', at + 1);
  if (close == std::string_view::npos)
    return std::count(text.begin(), text.begin() + at, '$') % 2 == 0;
  // "$5 and $6": a formula ends neither after a space nor before a digit.
  return text[close - 1] == ' ' && close + 1 < text.size() && is_digit(text[close + 1]);
}

// The text with its delimiters \( \) \[ \] and formula dollars removed. Words after a closing
// delimiter are marked as text, so that "$10$ m" ends in metres and not in a variable.
std::string without_delimiters(std::string_view text) {
  std::string out;
  bool inside = false, any = false;
  // Joined boxes are cut out of a text in the middle of their formulas.
  const bool boxes = text.find("\\boxed") != std::string_view::npos;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view two = text.substr(i, 2);
    const bool doubled = two == "$$";
    const bool dollar = text[i] == '$' && (doubled || !is_currency_sign(text, i) || inside);
    const bool bracket = (two == "\\(" || two == "\\)" || two == "\\[" || two == "\\]") &&
                         (i == 0 || text[i - 1] != '\\');
    if (dollar || bracket) {
      inside = bracket ? (two == "\\(" || two == "\\[") : !inside;
      any = true;
      i += (bracket || doubled) ? 1 : 0;
      out += ' ';
    } else if (!inside && any && !boxes && is_letter(text[i]) &&
               (i == 0 || !is_letter(text[i - 1])) && (i == 0 || text[i - 1] != '\\')) {
      size_t end = i;
      while (end < text.size() && is_letter(text[end])) ++end;
      out += "\\text{" + std::string(text.substr(i, end - i)) + "}";
      i = end - 1;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Text that went through one round of escapes too many has "\\\\frac" for "\\frac". Outside of an
// environment there are no row breaks, so that two backslashes before a letter are one.
std::string without_double_escapes(std::string_view text) {
  if (text.find("\\\\begin") == std::string_view::npos &&
      text.find("\\begin") != std::string_view::npos) {
    return std::string(text);
  }
  bool rows = false;
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      const bool pair = text[i + 1] == '\\' && i + 2 < text.size() && is_letter(text[i + 2]);
      if (pair && text.substr(i + 2).starts_with("begin")) rows = true;
      if (rows && !pair && is_letter(text[i + 1])) return std::string(text);
      if (pair) ++i;
    }
    out += text[i];
  }
  return out;
}

// Boxes side by side are a list.
std::string with_boxes_apart(std::string text) {
  for (size_t at = text.find("\\boxed"); at != std::string::npos;
       at = text.find("\\boxed", at + 2)) {
    size_t before = at;
    while (before > 0 && (text[before - 1] == ' ' || text[before - 1] == '$')) --before;
    if (before > 0 && text[before - 1] == '}') text.insert(at++, ",");
  }
  return text;
}

// 152A_{11} and ff_{16}: digits that may be letters, with a base.
NodePtr based_number(std::string_view text) {
  size_t at = 0;
  const auto is_place = [](char c) {
    return is_digit(c) || c == '.' || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
  };
  while (at < text.size() && is_place(text[at])) ++at;
  if (at == 0 || at >= text.size() || text[at] != '_') return nullptr;
  std::string digits(text.substr(0, at));
  std::string_view index = text.substr(at + 1);
  if (index.size() > 2 && index.front() == '{' && index.back() == '}') {
    index = trimmed(index.substr(1, index.size() - 2));
  }
  if (index.empty() || index.size() > 2 || !std::all_of(index.begin(), index.end(), is_digit)) {
    return nullptr;
  }
  if (!is_digit(digits[0]) && digits.size() == 1) return nullptr;  // A_1 is a symbol
  const long base = std::stol(std::string(index));
  const bool small_letters =
      std::any_of(digits.begin(), digits.end(), [](char c) { return c >= 'a'; });
  if (small_letters && base != 16 && !is_digit(digits[0])) return nullptr;  // ab_{12} is a product
  for (char& c : digits) c = c >= 'a' ? static_cast<char>(c - 32) : c;
  return make_node(NodeKind::base, {}, digits, base);
}

// Words that say what is measured or counted: "Area = 5", but not "nonsense = 5".
bool names_quantity(std::string_view word) {
  constexpr std::string_view kNames =
      " age amount angle answer area average balance base capacity circumference coefficient "
      "coordinates cost count degree density depth determinant diameter difference discount "
      "distance domain earnings edge expression factor fraction function height hypotenuse "
      "income integral interest length limit loss magnitude maximum mean median minimum mode "
      "money number output percent percentage perimeter period points price probability product "
      "profit quotient radius range rate ratio remainder result roots salary share side slope "
      "solution solutions speed sum surface temperature time total value vertex volume weight "
      "hence so then therefore thus "
      "width ";
  std::string lower = " ";
  for (const char c : word) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return kNames.find(lower + " ") != std::string_view::npos;
}

// Drops the letter of the choice whose text follows: \textbf{(A)}\ 5, (A) 5.
void drop_choice(std::vector<Token>& tokens) {
  if (tokens.size() < 5) return;
  const Token& letter = tokens[1];
  const bool one = letter.text.size() == 1 && letter.text[0] >= 'A' && letter.text[0] <= 'J';
  const bool bracketed =
      tokens[0].kind == TokenKind::open_paren && one && tokens[2].kind == TokenKind::close_paren;
  const Token& next = tokens[3];
  const bool apart = next.kind == TokenKind::number && next.space_before;
  const bool in_words = letter.in_text && next.kind != TokenKind::end &&
                        next.kind != TokenKind::relation && next.kind != TokenKind::power &&
                        next.kind != TokenKind::conjunction && next.kind != TokenKind::comma;
  if (bracketed && (apart || in_words)) tokens.erase(tokens.begin(), tokens.begin() + 3);
}

// Drops what an answer ends with if it only says for what it holds: "for all x", ", where C is a
// constant".
void drop_scope(std::vector<Token>& tokens) {
  const auto is_word = [&](size_t i, std::string_view word) {
    return i < tokens.size() && tokens[i].kind == TokenKind::word && tokens[i].text == word;
  };
  for (size_t i = 1; i + 1 < tokens.size(); ++i) {
    const bool all = is_word(i, "for") &&
                     (is_word(i + 1, "all") || is_word(i + 1, "any") || is_word(i + 1, "every"));
    const bool constant = is_word(i, "where") && is_word(tokens.size() - 2, "constant");
    if (!all && !constant) continue;
    // "for all x > 0" says more than "for all real numbers x".
    const bool condition =
        std::any_of(tokens.begin() + static_cast<std::ptrdiff_t>(i), tokens.end(),
                    [](const Token& token) { return token.kind == TokenKind::relation; });
    if (condition) return;
    const size_t end = tokens[i - 1].kind == TokenKind::comma ? i - 1 : i;
    if (end == 0) return;
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(end), tokens.end() - 1);
    return;
  }
}

// What words alone may say: a number, all real numbers.
NodePtr value_of_words(const std::string& words) {
  std::string lower;
  for (const char c : words) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (const long number = number_of_words(lower); number >= 0) return make_number(number);
  const bool reals = lower == "all real numbers" || lower == "all reals" || lower == "all real x";
  return reals ? make_node(NodeKind::number_set, {}, "R") : nullptr;
}

// Drops what labels the answer: words before the first '=', one of which names a quantity.
void drop_label(std::vector<Token>& tokens) {
  const Token& first = tokens.front();
  if (first.kind == TokenKind::relation && (first.text == "=" || first.text == "~")) {
    tokens.erase(tokens.begin());  // "= 5"
    return;
  }
  size_t equals = 0;
  bool words = false;
  for (; equals < tokens.size(); ++equals) {
    const Token& token = tokens[equals];
    if (token.kind == TokenKind::relation) break;
    if (token.kind != TokenKind::word && token.kind != TokenKind::symbol) return;
    words = words || (token.kind == TokenKind::word && names_quantity(token.text));
  }
  if (!words || equals >= tokens.size() || tokens[equals].text != "=") return;
  tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(equals) + 1);
}

// Whether one pair of square brackets holds all: [72] is a list of one, not 72.
bool in_square_brackets(const std::vector<Token>& tokens) {
  if (tokens.front().kind != TokenKind::open_bracket) return false;
  int depth = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].kind == TokenKind::open_bracket) ++depth;
    if (tokens[i].kind == TokenKind::close_bracket && --depth == 0) return i + 2 == tokens.size();
  }
  return false;
}

// The tree with every plus-minus decided for `sign`.
NodePtr with_sign(const NodePtr& node, int sign) {
  if (!contains(*node, NodeKind::plus_minus)) return node;
  std::vector<NodePtr> items;
  for (const NodePtr& item : node->items) items.push_back(with_sign(item, sign));
  if (node->kind != NodeKind::plus_minus) {
    auto copy = std::make_shared<Node>(*node);
    copy->items = std::move(items);
    return copy;
  }
  const bool plus = node->count * sign > 0;
  NodePtr last = plus ? items.back() : make_node(NodeKind::negate, {items.back()});
  return items.size() == 1 ? last : make_node(NodeKind::add, {items.front(), last});
}

// a +- b as the list of its two values; inside a list or set, as two more items.
NodePtr expanded(const NodePtr& node) {
  if (!contains(*node, NodeKind::plus_minus)) return node;
  const bool holds_items = node->kind == NodeKind::list || node->kind == NodeKind::set;
  if (!holds_items) {
    return make_node(NodeKind::list, {with_sign(node, 1), with_sign(node, -1)}, "or");
  }
  std::vector<NodePtr> items;
  for (const NodePtr& item : node->items) {
    const NodePtr wide = expanded(item);
    if (wide == item) {
      items.push_back(item);
    } else {
      items.insert(items.end(), wide->items.begin(), wide->items.end());
    }
  }
  return make_node(node->kind, std::move(items), node->name);
}

// Names of the wrappers whose braces go and whose content stays.
constexpr std::string_view kWrappers[] = {"\\text",   "\\textbf",       "\\textit",
                                          "\\mathrm", "\\mbox",         "\\mathbf",
                                          "\\textrm", "\\operatorname", "\\mathit"};

size_t wrapper_length(std::string_view text) {
  for (const std::string_view name : kWrappers) {
    if (text.starts_with(name) && text.size() > name.size() && !is_letter(text[name.size()])) {
      return name.size();
    }
  }
  return 0;
}

}  // namespace

std::string plain_words(std::string_view text) {
  text = without_wrapping(text.substr(0, kMaxAnswerBytes));
  std::string out;
  std::vector<bool> dropped;  // for each open brace, whether it belonged to a wrapper
  bool wrapper = false;
  const auto space = [&] {
    if (!out.empty() && out.back() != ' ') out += ' ';
  };
  for (size_t i = 0; i < text.size(); ++i) {
    if (const size_t length = wrapper_length(text.substr(i))) {
      i += length - 1;
      wrapper = true;
      continue;
    }
    const std::string_view two = text.substr(i, 2);
    if (text[i] == '{' || text[i] == '}') {
      const bool drop = text[i] == '{' ? wrapper : !dropped.empty() && dropped.back();
      if (text[i] == '{') {
        dropped.push_back(wrapper);
      } else if (!dropped.empty()) {
        dropped.pop_back();
      }
      wrapper = false;
      if (!drop) out += text[i];
    } else if (two == "\\ " || two == "\\," || two == "\\;" || two == "\\(" || two == "\\)") {
      ++i;
      space();
    } else if (two == "\\!") {
      ++i;
    } else if (text[i] == ' ' || (text[i] >= '\t' && text[i] <= '\r') || text[i] == '~') {
      space();
    } else if (text[i] != '$') {
      if (text[i] == ',' && !out.empty() && out.back() == ' ') out.pop_back();
      out += text[i];
      if (text[i] == ',') out += ' ';
    }
  }
  return std::string(without_wrapping(out));
}

Reading read_math_answer(std::string_view text, CommaMode commas) {
  Reading reading;
  text = without_wrapping(text);
  if (text.size() > kMaxAnswerBytes) {
    reading.too_large = true;
    return reading;
  }
  const std::string once = without_double_escapes(text);
  text = once;
  reading.words = plain_words(text);
  const std::string bare = with_boxes_apart(without_delimiters(text));
  const std::string_view formula = without_wrapping(bare);
  if (NodePtr based = based_number(formula)) {
    reading.tree = std::move(based);
    return reading;
  }
  if (NodePtr value = value_of_words(reading.words)) {
    reading.tree = std::move(value);
    return reading;
  }
  auto tokens = tokenize_math(formula, commas, kMaxTokens);
  if (!tokens) {
    reading.too_large = true;
    return reading;
  }
  drop_choice(*tokens);
  drop_label(*tokens);
  drop_scope(*tokens);
  const bool square = in_square_brackets(*tokens);
  const NodePtr tree = MathParser(std::move(*tokens)).parse();
  if (square && tree != nullptr && is_scalar(*tree)) return reading;
  if (tree != nullptr) reading.tree = expanded(tree);
  return reading;
}

}  // namespace temper
