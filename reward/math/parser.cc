#include "reward/math/parser.h"

#include <algorithm>

#include "reward/math/budget.h"
#include "reward/math/matrices.h"
#include "reward/math/units.h"

namespace temper {
namespace {

bool is_integer_literal(const Node& node) {
  return node.kind == NodeKind::number && node.decimals < 0 && node.value.get_den() == 1;
}

NodePtr negated(const NodePtr& node) {
  if (node->kind == NodeKind::matrix) return matrix_product(make_number(-1), node);
  return make_node(NodeKind::negate, {node});
}

bool ends_in_power(const Node& node) {
  if (node.kind == NodeKind::multiply) return ends_in_power(*node.items[1]);
  return node.kind == NodeKind::power && node.items[0]->kind == NodeKind::number;
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

// p = 5, q = 2; p = 7, q = 2: a list of lists. nullptr if the groups are not of one size of several
// equations.
NodePtr grouped_equations(const std::vector<NodePtr>& items, std::vector<size_t> groups) {
  if (groups.empty() || groups.size() + 1 == items.size()) return nullptr;
  std::vector<NodePtr> lists;
  groups.push_back(items.size());
  size_t begin = 0;
  for (const size_t end : groups) {
    std::vector<NodePtr> group(items.begin() + static_cast<std::ptrdiff_t>(begin),
                               items.begin() + static_cast<std::ptrdiff_t>(end));
    const bool equations = std::all_of(group.begin(), group.end(), [](const NodePtr& item) {
      return item->kind == NodeKind::relation && item->name == "=";
    });
    if (!equations || group.size() != groups.front()) return nullptr;
    lists.push_back(make_node(NodeKind::list, std::move(group), ","));
    begin = end;
  }
  return make_node(NodeKind::list, std::move(lists), ",");
}

}  // namespace

NodePtr MathParser::parse() {
  NodePtr tree = over_what_follows(statements(TokenKind::end));
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
  std::vector<size_t> groups;  // where a semicolon begins the next
  std::string separator = ",";
  for (bool semicolon = at(TokenKind::semicolon); at_separator(separator);
       semicolon = at(TokenKind::semicolon)) {
    if (semicolon) groups.push_back(items.size());
    if (at(closing) && closing == TokenKind::end) return nullptr;
    NodePtr next = statement();
    if (next == nullptr || items.size() >= kMaxItems) return nullptr;
    items.push_back(std::move(next));
  }
  if (items.size() == 1) return first;
  if (NodePtr solutions = grouped_equations(items, groups)) return solutions;
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
  const bool to = at(TokenKind::word) && peek().text == "to";  // 3 to 4
  const bool parted = at(TokenKind::colon) || (to && peek(1).kind == TokenKind::number);
  if (parted && is_scalar(*value) && open_bars_ == 0) return ratio(std::move(value));
  const bool unit = at(TokenKind::word) || at(TokenKind::currency) || at_unit_fraction();
  return unit ? with_unit(std::move(value)) : value;
}

NodePtr MathParser::ratio(NodePtr first) {
  std::vector<NodePtr> parts = {std::move(first)};
  std::string name;
  while (at(TokenKind::colon) || (at(TokenKind::word) && peek().text == "to")) {
    if (at(TokenKind::word)) name = "to";  // in words it may be a range, and is no quotient
    ++at_;
    NodePtr next = sum();
    if (next == nullptr || parts.size() >= kMaxItems) return nullptr;
    parts.push_back(std::move(next));
  }
  return make_node(NodeKind::ratio, std::move(parts), name);
}

NodePtr MathParser::sum() {
  NodePtr left;
  if (take(TokenKind::minus)) {
    left = product();
    if (left != nullptr) left = negated(left);
  } else if (at(TokenKind::plus_minus) || at(TokenKind::minus_plus)) {
    const int64_t sign = at(TokenKind::plus_minus) ? 1 : -1;
    ++at_;
    left = product();
    if (left != nullptr) left = make_node(NodeKind::plus_minus, {left}, "", sign);
  } else {
    take(TokenKind::plus);
    left = product();
  }
  if (left != nullptr && left->kind == NodeKind::matrix) return matrix_terms(std::move(left));
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

// What is added to a matrix or taken from it.
NodePtr MathParser::matrix_terms(NodePtr left) {
  while (left != nullptr && (at(TokenKind::plus) || at(TokenKind::minus))) {
    const bool minus = at(TokenKind::minus);
    ++at_;
    const NodePtr right = product();
    if (right == nullptr || right->kind != NodeKind::matrix) return nullptr;
    left = matrix_sum(left, minus ? negated(right) : right);
  }
  return left;
}

// Whether a factor follows with nothing in between.
bool MathParser::starts_factor(const NodePtr& left) const {
  if (at(TokenKind::begin_matrix)) return is_scalar(*left) || left->kind == NodeKind::matrix;
  if (!is_scalar(*left)) return false;
  switch (peek().kind) {
    case TokenKind::symbol:
    case TokenKind::function:
    case TokenKind::constant:
    case TokenKind::infinity:
    case TokenKind::overline:
    case TokenKind::font:
    case TokenKind::open_group:
    case TokenKind::open_paren:
    case TokenKind::open_floor:
    case TokenKind::open_ceiling:
      return true;
    case TokenKind::binomial:
      return !at_infix();
    case TokenKind::fraction:
      return !at_unit_fraction() && !at_infix();
    case TokenKind::bar:
      return open_bars_ == 0;
    case TokenKind::open_bracket:
      return !square_;  // in "[1, 2[" it closes
    case TokenKind::number:
      // After a bracket or symbol ("(x+1)2", "x2") it would be guesswork; 3!7!, n 2^n and 2^6 3^5
      // are none.
      return left->kind == NodeKind::factorial ||
             ((left->kind == NodeKind::symbol || ends_in_power(*left)) && peek().space_before &&
              peek(1).kind == TokenKind::power);
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
  if (NodePtr mixed = mixed_number(left)) {
    left = std::move(mixed);
    if (at(TokenKind::percent) || at(TokenKind::degree)) left = with_postfix(std::move(left));
  }
  for (;;) {
    NodeKind kind = NodeKind::multiply;
    if (at(TokenKind::times) || at(TokenKind::divide)) {
      if (at(TokenKind::divide)) kind = NodeKind::divide;
      if (!is_scalar(*left) && (left->kind != NodeKind::matrix || kind == NodeKind::divide)) {
        return nullptr;
      }
      ++at_;
    } else if (!starts_factor(left)) {
      return left;
    }
    NodePtr right = factor();
    if (right == nullptr) return nullptr;
    if (left->kind == NodeKind::matrix || right->kind == NodeKind::matrix) {
      left = kind == NodeKind::divide ? nullptr : matrix_product(left, right);
      if (left == nullptr) return nullptr;
      continue;
    }
    if (!is_scalar(*right)) return nullptr;
    left = make_node(kind, {left, right});
  }
}

// One word of a unit with its exponent: "cm", "cm^2", "square cm", "s^{-1}".
bool MathParser::read_unit_word(int sign, std::vector<UnitFactor>& unit) {
  UnitFactor factor;
  std::string word = peek().text;
  if (word == "square" || word == "sq" || word == "cubic") {
    factor.exponent = word == "cubic" ? 3 : 2;
    ++at_;
    if (!at(TokenKind::word)) return false;
    word = peek().text;
  }
  ++at_;
  if (take(TokenKind::power)) {
    const bool group = take(TokenKind::open_group);
    const bool negative = take(TokenKind::minus);
    if (!at(TokenKind::number) || peek().text.size() > 1) return false;
    factor.exponent = (negative ? -1 : 1) * std::stoi(peek().text);
    ++at_;
    if (group && !take(TokenKind::close_group)) return false;
  } else if (word == "squared" || word == "cubed") {
    return false;
  }
  factor.exponent *= sign;
  factor.measure = is_unit(word);
  factor.name = canonical_unit(word);
  unit.push_back(std::move(factor));
  return true;
}

// Words of a unit up to what is none: "miles per hour", "m s^{-1}", "kg m/s^2".
bool MathParser::read_unit_words(int sign, std::vector<UnitFactor>& unit) {
  for (int words = 0; at(TokenKind::word) && words < 4; ++words) {
    if (breaks_unit_phrase(peek().text) || !read_unit_word(sign, unit)) return false;
    const bool times = at(TokenKind::times) && peek(1).kind == TokenKind::word;
    if (times) ++at_;
    const bool per = at(TokenKind::word) && peek().text == "per";
    if (!per && !at(TokenKind::divide)) continue;
    ++at_;
    if (!at(TokenKind::word) && !at(TokenKind::symbol)) return false;
    if (!read_unit_word(-sign, unit)) return false;
  }
  return !at(TokenKind::word);
}

// \frac{\text{m}}{\text{s}} behind a value.
bool MathParser::at_unit_fraction() const {
  return at(TokenKind::fraction) && peek(1).kind == TokenKind::open_group &&
         peek(2).kind == TokenKind::word && peek(2).in_text;
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
  std::vector<UnitFactor> unit;
  if (take(TokenKind::fraction)) {
    for (const int sign : {1, -1}) {
      const bool read = take(TokenKind::open_group) && read_unit_words(sign, unit) &&
                        take(TokenKind::close_group);
      if (!read) return nullptr;
    }
  } else if (!read_unit_words(1, unit)) {
    return nullptr;
  }
  const std::string name = name_of_unit(unit);
  if (name == "percent") return make_node(NodeKind::percent, {value});
  if (name == "degree") return make_node(NodeKind::degree, {value});
  return make_node(NodeKind::quantity, {value}, name);
}

}  // namespace temper
