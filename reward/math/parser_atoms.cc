// Factors, exponents, postfix signs, numbers, symbols and arguments.
#include <algorithm>
#include <cstdlib>

#include "reward/math/budget.h"
#include "reward/math/matrices.h"
#include "reward/math/parser.h"
#include "reward/math/units.h"

namespace temper {
namespace {

constexpr long kMaxDecimalExponent = 2000;

// The exact value of a number token's text, "12", "0.50", "1.5e-7"; decimals counts its places.
NodePtr number_of_text(const std::string& text) {
  std::string digits;
  int decimals = -1;
  size_t at = 0;
  for (; at < text.size() && text[at] != 'e'; ++at) {
    if (text[at] == '.') {
      decimals = 0;
    } else {
      digits += text[at];
      if (decimals >= 0) ++decimals;
    }
  }
  if (digits.empty() || digits.size() > 1000) return nullptr;
  long exponent = 0;
  if (at < text.size()) {
    const std::string tail = text.substr(at + 1);
    if (tail.size() > 6) return nullptr;
    exponent = std::stol(tail);
    if (exponent > kMaxDecimalExponent || exponent < -kMaxDecimalExponent) return nullptr;
  }
  mpq_class value{mpz_class(digits, 10)};
  const long shift = exponent - std::max(decimals, 0);
  mpz_class scale;
  mpz_ui_pow_ui(scale.get_mpz_t(), 10, static_cast<unsigned long>(std::labs(shift)));
  value = shift < 0 ? mpq_class(value / scale) : mpq_class(value * scale);
  if (decimals == 0) decimals = -1;  // "5." is the integer
  if (decimals >= 0 || exponent < 0) decimals = static_cast<int>(std::max(0L, -shift));
  return make_number(std::move(value), decimals > 0 ? decimals : -1);
}

// i^2023 goes round in fours; nullptr for any other power.
NodePtr power_of_i(const Node& base, const Node& exponent) {
  if (base.kind != NodeKind::constant || base.name != "i") return nullptr;
  const bool negative = exponent.kind == NodeKind::negate;
  const Node& size = negative ? *exponent.items[0] : exponent;
  if (size.kind != NodeKind::number || size.value.get_den() != 1) return nullptr;
  const mpz_class turns = negative ? mpz_class(-size.value.get_num()) : size.value.get_num();
  const unsigned long quarter = mpz_fdiv_ui(turns.get_mpz_t(), 4);
  const NodePtr value = quarter % 2 == 0 ? make_number(1) : make_node(NodeKind::constant, {}, "i");
  return quarter < 2 ? value : make_node(NodeKind::negate, {value});
}

// The base that an index names in words, \text{two} or \text{base 2}; else the index as it is.
std::string base_of_index(std::string index) {
  if (index.starts_with("base")) index.erase(0, 4);
  const long number = number_of_words(index);
  return number >= 2 ? std::to_string(number) : index;
}

}  // namespace

NodePtr MathParser::factor() {
  if (depth_ >= kMaxDepth) return nullptr;
  if (take(TokenKind::minus)) {
    ++depth_;
    NodePtr inner = factor();
    --depth_;
    return inner == nullptr || !is_scalar(*inner) ? nullptr : make_node(NodeKind::negate, {inner});
  }
  if (take(TokenKind::plus)) {
    ++depth_;
    NodePtr inner = factor();
    --depth_;
    return inner;
  }
  ++depth_;
  NodePtr node = atom();
  if (node != nullptr) node = with_postfix(std::move(node));
  --depth_;
  return node;
}

NodePtr MathParser::with_exponent(NodePtr base) {
  // x^\circ, x^{\circ}: a degree sign, not a power.
  const bool in_group = at(TokenKind::open_group) && peek(1).kind == TokenKind::degree &&
                        peek(2).kind == TokenKind::close_group;
  if (at(TokenKind::degree) || in_group) {
    at_ += in_group ? 3 : 1;
    return make_node(NodeKind::degree, {base});
  }
  if (take(TokenKind::prime)) return make_node(NodeKind::symbol, {}, base->name + "'");
  if (base->kind == NodeKind::matrix) return matrix_power(*base);
  if (!is_scalar(*base)) return nullptr;
  const bool negative = take(TokenKind::minus);
  NodePtr exponent = argument(false);
  if (exponent == nullptr || !is_scalar(*exponent)) return nullptr;
  if (at(TokenKind::power)) {  // right association: 2^3^2 = 2^9
    ++at_;
    exponent = with_exponent(std::move(exponent));
    if (exponent == nullptr) return nullptr;
  }
  if (negative) exponent = make_node(NodeKind::negate, {exponent});
  if (NodePtr value = power_of_i(*base, *exponent)) return value;
  return make_node(NodeKind::power, {base, exponent});
}

// Of a matrix only its transpose is written as a power.
NodePtr MathParser::matrix_power(const Node& base) {
  const std::string name = raw_argument();
  return name == "T" || name == "top" ? transposed(base) : nullptr;
}

NodePtr MathParser::with_postfix(NodePtr node) {
  while (node != nullptr) {
    if (take(TokenKind::power)) {
      node = with_exponent(std::move(node));
    } else if (at(TokenKind::factorial) && is_scalar(*node)) {
      ++at_;
      node = make_node(NodeKind::factorial, {node});
    } else if (at(TokenKind::percent) && is_scalar(*node)) {
      ++at_;
      node = make_node(NodeKind::percent, {node});
    } else if (at(TokenKind::degree) && is_scalar(*node)) {
      ++at_;
      node = make_node(NodeKind::degree, {node});
    } else if (at(TokenKind::prime) && node->kind == NodeKind::symbol) {
      ++at_;
      node = make_node(NodeKind::symbol, {}, node->name + "'");
    } else if (at(TokenKind::subscript)) {
      ++at_;
      node = subscripted(std::move(node));
    } else {
      break;
    }
    if (node != nullptr && node->kind == NodeKind::degree) {
      const bool scale = (at(TokenKind::symbol) || at(TokenKind::word)) &&
                         (peek().text == "C" || peek().text == "F") &&
                         peek(1).kind == TokenKind::end;
      if (!scale) continue;
      node = make_node(NodeKind::quantity, {node->items[0]}, "deg" + peek().text);
      ++at_;
    }
  }
  return node;
}

// x_1 and x_{1} are one symbol; 204_5 is a number written in base five.
NodePtr MathParser::subscripted(NodePtr node) {
  std::string index = raw_argument();
  if (index.empty()) return nullptr;
  const bool raised = node->kind == NodeKind::power && node->items[0]->kind == NodeKind::symbol;
  const NodePtr base = raised ? node->items[0] : node;
  if (base->kind == NodeKind::symbol) {  // x_1, and x^2_1 for the square of x_1
    NodePtr symbol = make_node(NodeKind::symbol, {}, base->name + "_" + index);
    return raised ? make_node(NodeKind::power, {symbol, node->items[1]}) : symbol;
  }
  const bool integer = node->kind == NodeKind::number && node->decimals < 0;
  index = base_of_index(std::move(index));
  if (!integer || index.find_first_not_of("0123456789") != std::string::npos || index.size() > 2) {
    return nullptr;
  }
  return make_node(NodeKind::base, {}, node->value.get_num().get_str(), std::stol(index));
}

NodePtr MathParser::atom() {
  const Token token = peek();
  switch (token.kind) {
    case TokenKind::number:
      return number_atom();
    case TokenKind::symbol:
      return symbol_atom();
    case TokenKind::word:
      return word_atom();
    case TokenKind::currency:
      return currency_atom();
    case TokenKind::constant:
      return ++at_, make_node(NodeKind::constant, {}, token.text);
    case TokenKind::infinity:
      return ++at_, make_node(NodeKind::infinity, {});
    case TokenKind::empty_set:
      return ++at_, make_node(NodeKind::empty_set, {});
    case TokenKind::number_set:
      return ++at_, make_node(NodeKind::number_set, {}, token.text);
    case TokenKind::function:
      return function_atom();
    case TokenKind::fraction:
      return fraction_atom(NodeKind::divide);
    case TokenKind::binomial:
      return fraction_atom(NodeKind::binomial);
    case TokenKind::bar:
      return bars();
    case TokenKind::open_group:
      return braces(TokenKind::close_group);
    case TokenKind::open_brace:
      return braces(TokenKind::close_brace);
    case TokenKind::open_paren:
      return brackets(TokenKind::open_paren);
    case TokenKind::open_bracket:
      return brackets(TokenKind::open_bracket);
    case TokenKind::close_bracket:
      return brackets(TokenKind::close_bracket);
    case TokenKind::open_angle:
      return angles();
    case TokenKind::open_floor:
      return fenced(NodeKind::floor, TokenKind::close_floor);
    case TokenKind::open_ceiling:
      return fenced(NodeKind::ceiling, TokenKind::close_ceiling);
    case TokenKind::begin_matrix:
      return matrix();
    case TokenKind::overline:
    case TokenKind::font:
      return decorated_atom();
    default:
      return nullptr;
  }
}

// \overline{CD} names a thing; \mathbb{R} is a set; other fonts change nothing.
NodePtr MathParser::decorated_atom() {
  const Token token = peek();
  ++at_;
  if (token.kind == TokenKind::font && token.text != "mathbb") return argument(false);
  const std::string inner = raw_argument();
  if (token.kind == TokenKind::overline) {
    if (inner.empty()) return nullptr;
    return make_node(NodeKind::symbol, {}, token.text + "(" + inner + ")");
  }
  const bool known = inner.size() == 1 && std::string("RQZNC").find(inner) != std::string::npos;
  return known ? make_node(NodeKind::number_set, {}, inner) : nullptr;
}

NodePtr MathParser::number_atom() {
  const std::string text = peek().text;
  ++at_;
  const bool bar = at(TokenKind::overline) && (peek().text == "overline" || peek().text == "dot");
  if (bar && text.find('.') != text.npos) return repeating_decimal(text);
  const bool bracket = text.ends_with('.') && at(TokenKind::open_paren) && !peek().space_before;
  if (bracket) {  // 0.(3) is another way to write the bar
    if (peek(1).kind != TokenKind::number || peek(2).kind != TokenKind::close_paren) return nullptr;
    NodePtr value = repeating_decimal(text);
    ++at_;
    return value;
  }
  return number_of_text(text);
}

// 0.1\overline{6}: the digits under the bar repeat for ever.
NodePtr MathParser::repeating_decimal(const std::string& digits) {
  ++at_;
  const std::string period = raw_argument();
  if (period.empty() || period.size() > 100 || digits.find('e') != std::string::npos ||
      period.find_first_not_of("0123456789") != std::string::npos) {
    return nullptr;
  }
  const NodePtr start = number_of_text(digits);
  if (start == nullptr) return nullptr;
  const size_t places = digits.size() - digits.find('.') - 1;
  mpz_class scale, cycle;
  mpz_ui_pow_ui(scale.get_mpz_t(), 10, places);
  mpz_ui_pow_ui(cycle.get_mpz_t(), 10, period.size());
  mpq_class tail(mpz_class(period, 10), mpz_class((cycle - 1) * scale));
  tail.canonicalize();
  return make_number(start->value + tail);
}

NodePtr MathParser::symbol_atom() {
  const std::string name = name_of_letter(peek().text);
  ++at_;
  if ((name == "e" || name == "i") && !at(TokenKind::subscript)) {
    return make_node(NodeKind::constant, {}, name);
  }
  return make_node(NodeKind::symbol, {}, name);
}

// A run of two or three letters is a product of symbols; the last one takes what follows.
NodePtr MathParser::word_atom() {
  Token& token = tokens_[at_];
  if (token.in_text || token.text.size() > 3 || breaks_unit_phrase(token.text)) return nullptr;
  const std::string name = name_of_letter(token.text.substr(0, 1));
  if (token.text.size() == 1) {
    ++at_;
  } else {
    token.text.erase(0, 1);
    if (token.text.size() == 1) token.kind = TokenKind::symbol;
    token.space_before = false;
  }
  if (name == "e" || name == "i") return make_node(NodeKind::constant, {}, name);
  return make_node(NodeKind::symbol, {}, name);
}

NodePtr MathParser::currency_atom() {
  const std::string unit = canonical_unit(peek().text);
  ++at_;
  if (!at(TokenKind::number)) return nullptr;
  NodePtr amount = number_atom();
  if (amount == nullptr) return nullptr;
  if (const long scale = at(TokenKind::word) ? magnitude_of(peek().text) : 0) {  // $1.5 million
    ++at_;
    amount = make_node(NodeKind::multiply, {amount, make_number(scale)});
  }
  return make_node(NodeKind::quantity, {amount}, unit);
}

// What a command or ^ applies to: a group in braces, or the next single thing. After \frac a digit
// stands alone: \frac12 is one half.
NodePtr MathParser::argument(bool single_digit) {
  if (depth_ >= kMaxDepth) return nullptr;
  if (take(TokenKind::open_group)) {
    ++depth_;
    NodePtr inner = over_what_follows(statement());
    --depth_;
    return inner != nullptr && take(TokenKind::close_group) ? inner : nullptr;
  }
  if (single_digit && at(TokenKind::number) && peek().text.size() > 1) {
    std::string& text = tokens_[at_].text;
    NodePtr digit = number_of_text(text.substr(0, 1));
    text.erase(0, 1);
    return digit;
  }
  ++depth_;
  NodePtr node = atom();
  --depth_;
  return node;
}

// The texts of an argument's tokens in a row, for names: "1", "max", "CD". Empty on failure.
std::string MathParser::raw_argument() {
  if (!take(TokenKind::open_group)) {
    const std::string text = peek().text;
    ++at_;
    return text;
  }
  std::string text;
  while (!at(TokenKind::close_group)) {
    if (at(TokenKind::end) || at(TokenKind::open_group) || text.size() > 40) return "";
    if (at(TokenKind::plus)) text += '+';
    if (at(TokenKind::minus)) text += '-';
    if (at(TokenKind::comma)) text += ',';
    text += peek().text;
    ++at_;
  }
  ++at_;
  return text;
}

}  // namespace temper
