#include "reward/math/parser.h"

#include "reward/math/budget.h"
#include "reward/math/units.h"

namespace temper {
namespace {

bool is_integer_literal(const Node& node) {
  return node.kind == NodeKind::number && node.decimals < 0 && node.value.get_den() == 1;
}

bool is_collection(const Node& node) {
  switch (node.kind) {
    case NodeKind::set:
    case NodeKind::interval:
    case NodeKind::unite:
    case NodeKind::intersect:
    case NodeKind::set_minus:
    case NodeKind::empty_set:
    case NodeKind::number_set:
      return true;
    default:
      return false;
  }
}

}  // namespace

NodePtr MathParser::parse() {
  NodePtr tree = statements(TokenKind::end);
  return tree != nullptr && at(TokenKind::end) ? tree : nullptr;
}

// "," ";" "and" "or" ", and": the word wins as the list's name.
bool MathParser::at_separator(std::string& separator) {
  bool found = false;
  while (at(TokenKind::comma) || at(TokenKind::semicolon) || at(TokenKind::conjunction)) {
    if (at(TokenKind::conjunction)) separator = peek().text;
    ++at_;
    found = true;
  }
  return found;
}

NodePtr MathParser::statements(TokenKind closing) {
  NodePtr first = statement();
  if (first == nullptr) return nullptr;
  std::vector<NodePtr> items = {first};
  std::string separator = ",";
  while (at_separator(separator)) {
    if (at(closing) && closing == TokenKind::end) return nullptr;
    NodePtr next = statement();
    if (next == nullptr || items.size() >= kMaxItems) return nullptr;
    items.push_back(std::move(next));
  }
  if (items.size() == 1) return first;
  return make_node(NodeKind::list, std::move(items), separator);
}

NodePtr MathParser::statement() {
  NodePtr left = sets();
  if (left == nullptr) return nullptr;
  if (take(TokenKind::element_of)) {
    NodePtr right = sets();
    return right == nullptr ? nullptr : make_node(NodeKind::element_of, {left, right});
  }
  return at(TokenKind::relation) ? relations(std::move(left)) : left;
}

NodePtr MathParser::relations(NodePtr left) {
  std::vector<NodePtr> links;
  while (at(TokenKind::relation)) {
    const std::string name = peek().text;
    ++at_;
    NodePtr right = sets();
    if (right == nullptr) return nullptr;
    links.push_back(make_node(NodeKind::relation, {left, right}, name));
    left = std::move(right);
  }
  if (links.size() == 1) return links.front();
  return make_node(NodeKind::chain, std::move(links));
}

NodePtr MathParser::sets() {
  NodePtr left = set_operand();
  while (left != nullptr) {
    const bool letter_u = at(TokenKind::symbol) && peek().text == "U" && is_collection(*left);
    NodeKind kind = NodeKind::unite;
    if (at(TokenKind::intersect)) kind = NodeKind::intersect;
    if (at(TokenKind::set_minus)) kind = NodeKind::set_minus;
    if (!at(TokenKind::unite) && kind == NodeKind::unite && !letter_u) {
      // "R - {0}" is a difference of sets as well.
      const bool minus_set = at(TokenKind::minus) && is_collection(*left);
      if (!minus_set) return left;
      kind = NodeKind::set_minus;
    }
    ++at_;
    NodePtr right = set_operand();
    if (right == nullptr) return nullptr;
    left = make_node(kind, {left, right});
  }
  return left;
}

NodePtr MathParser::set_operand() {
  return term();
}

NodePtr MathParser::term() {
  NodePtr value = sum();
  if (value == nullptr) return nullptr;
  if (at(TokenKind::colon) && is_scalar(*value) && open_bars_ == 0) return ratio(std::move(value));
  return at(TokenKind::word) || at(TokenKind::currency) ? with_unit(std::move(value)) : value;
}

NodePtr MathParser::ratio(NodePtr first) {
  std::vector<NodePtr> parts = {std::move(first)};
  while (take(TokenKind::colon)) {
    NodePtr next = sum();
    if (next == nullptr || parts.size() >= kMaxItems) return nullptr;
    parts.push_back(std::move(next));
  }
  return make_node(NodeKind::ratio, std::move(parts));
}

NodePtr MathParser::sum() {
  NodePtr left;
  if (take(TokenKind::minus)) {
    left = product();
    if (left != nullptr) left = make_node(NodeKind::negate, {left});
  } else if (at(TokenKind::plus_minus) || at(TokenKind::minus_plus)) {
    const int64_t sign = at(TokenKind::plus_minus) ? 1 : -1;
    ++at_;
    left = product();
    if (left != nullptr) left = make_node(NodeKind::plus_minus, {left}, "", sign);
  } else {
    take(TokenKind::plus);
    left = product();
  }
  while (left != nullptr && is_scalar(*left)) {
    const TokenKind kind = peek().kind;
    const bool is_sign = kind == TokenKind::plus || kind == TokenKind::minus ||
                         kind == TokenKind::plus_minus || kind == TokenKind::minus_plus;
    if (!is_sign) break;
    ++at_;
    NodePtr right = product();
    if (right == nullptr || !is_scalar(*right)) return nullptr;
    if (kind == TokenKind::plus) {
      left = make_node(NodeKind::add, {left, right});
    } else if (kind == TokenKind::minus) {
      left = make_node(NodeKind::add, {left, make_node(NodeKind::negate, {right})});
    } else {
      left = make_node(NodeKind::plus_minus, {left, right}, "",
                       kind == TokenKind::plus_minus ? 1 : -1);
    }
  }
  return left;
}

// Whether a factor follows with nothing in between.
bool MathParser::starts_factor(const NodePtr& left) const {
  if (!is_scalar(*left)) return false;
  switch (peek().kind) {
    case TokenKind::symbol:
    case TokenKind::function:
    case TokenKind::constant:
    case TokenKind::infinity:
    case TokenKind::fraction:
    case TokenKind::binomial:
    case TokenKind::overline:
    case TokenKind::font:
    case TokenKind::open_group:
    case TokenKind::open_paren:
    case TokenKind::open_floor:
    case TokenKind::open_ceiling:
      return true;
    case TokenKind::bar:
      return open_bars_ == 0;
    case TokenKind::open_bracket:
      return !square_;  // in "[1, 2[" it closes
    case TokenKind::number:
      // After a bracket or symbol ("(x+1)2", "x2") it would be guesswork; 3!7! is none.
      return left->kind == NodeKind::factorial;
    case TokenKind::word:
      return !peek().in_text && peek().text.size() <= 3 && !breaks_unit_phrase(peek().text) &&
             !(left->kind == NodeKind::number && is_unit(peek().text));
    default:
      return false;
  }
}

// "1 1/2" and "1\frac{1}{2}": an integer and a fraction of integers, side by side.
NodePtr MathParser::mixed_number(const NodePtr& whole) {
  if (!is_integer_literal(*whole)) return nullptr;
  const size_t start = at_;
  if (at(TokenKind::fraction)) {
    NodePtr part = fraction_atom(NodeKind::divide);
    const bool fits = part != nullptr && is_integer_literal(*part->items[0]) &&
                      is_integer_literal(*part->items[1]);
    if (fits) return make_node(NodeKind::add, {whole, part});
  } else if (at(TokenKind::number) && peek(1).kind == TokenKind::divide &&
             peek(2).kind == TokenKind::number) {
    NodePtr above = number_atom();
    ++at_;
    NodePtr below = number_atom();
    const bool fits = above != nullptr && below != nullptr && is_integer_literal(*above) &&
                      is_integer_literal(*below);
    if (fits) {
      return make_node(NodeKind::add, {whole, make_node(NodeKind::divide, {above, below})});
    }
  }
  at_ = start;
  return nullptr;
}

NodePtr MathParser::product() {
  NodePtr left = factor();
  if (left == nullptr) return nullptr;
  if (NodePtr mixed = mixed_number(left)) left = std::move(mixed);
  for (;;) {
    NodeKind kind = NodeKind::multiply;
    if (at(TokenKind::times) || at(TokenKind::divide)) {
      if (!is_scalar(*left)) return nullptr;
      if (at(TokenKind::divide)) kind = NodeKind::divide;
      ++at_;
    } else if (!starts_factor(left)) {
      return left;
    }
    NodePtr right = factor();
    if (right == nullptr) return nullptr;
    if (!is_scalar(*right) && right->kind != NodeKind::matrix) return nullptr;
    left = make_node(kind, {left, right});
  }
}

// One word of a unit with its exponent: "cm", "cm^2", "square cm".
bool MathParser::read_unit_word(std::string& unit) {
  std::string power;
  std::string word = peek().text;
  if (word == "square" || word == "sq" || word == "cubic") {
    power = word == "cubic" ? "^3" : "^2";
    ++at_;
    if (!at(TokenKind::word)) return false;
    word = peek().text;
  }
  ++at_;
  if (take(TokenKind::power)) {
    const bool group = take(TokenKind::open_group);
    if (!at(TokenKind::number)) return false;
    power = "^" + peek().text;
    ++at_;
    if (group && !take(TokenKind::close_group)) return false;
  } else if (word == "squared" || word == "cubed") {
    return false;
  }
  unit += canonical_unit(word) + power;
  return true;
}

// The words after a value: a unit of measure, "percent", "degrees", or a noun.
NodePtr MathParser::with_unit(NodePtr value) {
  if (!is_scalar(*value)) return nullptr;
  if (at(TokenKind::currency)) {
    const std::string unit = canonical_unit(peek().text);
    ++at_;
    return make_node(NodeKind::quantity, {value}, unit);
  }
  if (const long scale = magnitude_of(peek().text)) {  // "5 million"
    ++at_;
    value = make_node(NodeKind::multiply, {value, make_number(scale)});
    if (!at(TokenKind::word)) return value;
  }
  std::string unit;
  for (int words = 0; at(TokenKind::word) && words < 4; ++words) {
    if (breaks_unit_phrase(peek().text)) return nullptr;
    if (!unit.empty()) unit += ' ';
    if (!read_unit_word(unit)) return nullptr;
    const bool per = at(TokenKind::word) && peek().text == "per";
    if (per || at(TokenKind::divide)) {
      ++at_;
      if (!at(TokenKind::word) && !at(TokenKind::symbol)) return nullptr;
      unit += '/';
      if (!read_unit_word(unit)) return nullptr;
    }
  }
  if (at(TokenKind::word)) return nullptr;
  if (unit == "percent") return make_node(NodeKind::percent, {value});
  if (unit == "degree") return make_node(NodeKind::degree, {value});
  if (unit == "degree C" || unit == "degree F") unit = "deg" + unit.substr(7);
  return make_node(NodeKind::quantity, {value}, unit);
}

}  // namespace temper
