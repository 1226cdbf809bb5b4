// Functions, fractions, brackets of every kind and matrices.
#include <utility>

#include "reward/math/budget.h"
#include "reward/math/matrices.h"
#include "reward/math/parser.h"

namespace temper {
namespace {

// The least or greatest of the items, two by two.
NodePtr extreme(const std::string& name, const std::vector<NodePtr>& items) {
  NodePtr result = items.front();
  for (size_t i = 1; i < items.size(); ++i) {
    result = make_node(NodeKind::function, {result, items[i]}, name);
  }
  return result;
}

}  // namespace

NodePtr MathParser::function_atom() {
  const std::string name = peek().text;
  ++at_;
  if (name == "sqrt" || name == "cbrt") return root_atom(name);
  if (name == "sum" || name == "prod") return sum_atom(name);
  NodePtr exponent, base;
  for (int i = 0; i < 2; ++i) {  // \sin^2 x, \log_2 x, \log_2^3 x
    if (exponent == nullptr && take(TokenKind::power)) {
      const bool negative = take(TokenKind::minus);
      exponent = argument(false);
      if (exponent == nullptr) return nullptr;
      if (negative) exponent = make_node(NodeKind::negate, {exponent});
    } else if (base == nullptr && name == "log" && take(TokenKind::subscript)) {
      base = argument(true);
      if (base == nullptr) return nullptr;
    }
  }
  NodePtr inner = function_argument();
  if (inner == nullptr) return nullptr;
  if (inner->kind == NodeKind::matrix) return name == "det" ? determinant(*inner) : nullptr;
  if (name == "abs") return make_node(NodeKind::absolute, {inner});
  if (name == "cis") {  // cos x + i sin x
    const NodePtr i = make_node(NodeKind::constant, {}, "i");
    const NodePtr cosine = make_node(NodeKind::function, {inner}, "cos");
    const NodePtr sine = make_node(NodeKind::function, {inner}, "sin");
    return make_node(NodeKind::add, {cosine, make_node(NodeKind::multiply, {i, sine})});
  }
  std::vector<NodePtr> items = {inner};
  if (inner->kind == NodeKind::list || inner->kind == NodeKind::interval ||
      inner->kind == NodeKind::tuple) {
    items = inner->items;  // max(1, 2)
  }
  if (base != nullptr) items.push_back(base);
  if (name == "floor" || name == "ceil") {
    return make_node(name == "floor" ? NodeKind::floor : NodeKind::ceiling, {inner});
  }
  if (name == "min" || name == "max") return extreme(name, items);
  const bool inverse = exponent != nullptr && exponent->kind == NodeKind::negate &&
                       exponent->items[0]->kind == NodeKind::number &&
                       exponent->items[0]->value == 1;
  if (inverse) return make_node(NodeKind::function, std::move(items), "arc" + name);
  NodePtr call = make_node(NodeKind::function, std::move(items), name);
  return exponent == nullptr ? call : make_node(NodeKind::power, {call, exponent});
}

// A bracket right after the name is the whole argument; otherwise factors up to an operator or the
// next function: \sin 2x, \ln x \cos y.
NodePtr MathParser::function_argument() {
  if (depth_ >= kMaxDepth) return nullptr;
  if (at(TokenKind::open_paren) || at(TokenKind::open_group) || at(TokenKind::open_bracket)) {
    ++depth_;
    NodePtr inner = atom();
    --depth_;
    return inner;
  }
  if (at(TokenKind::begin_matrix)) return matrix();
  const bool negative = take(TokenKind::minus);
  NodePtr left = factor();
  while (left != nullptr && starts_factor(left) && !at(TokenKind::function) &&
         !at(TokenKind::open_paren)) {
    NodePtr right = factor();
    if (right == nullptr) return nullptr;
    left = make_node(NodeKind::multiply, {left, right});
  }
  return left != nullptr && negative ? make_node(NodeKind::negate, {left}) : left;
}

NodePtr MathParser::root_atom(const std::string& name) {
  int64_t degree = name == "cbrt" ? 3 : 2;
  if (at(TokenKind::open_bracket)) {
    if (peek(1).kind == TokenKind::number && peek(2).kind == TokenKind::close_bracket) {
      const std::string& index = peek(1).text;
      const bool digits = index.find_first_not_of("0123456789") == std::string::npos;
      if (index.size() > 3 || !digits) return nullptr;
      degree = std::stol(peek(1).text);
      at_ += 3;
    } else if (peek(1).kind == TokenKind::symbol && peek(2).kind == TokenKind::close_bracket) {
      const NodePtr index = make_node(NodeKind::symbol, {}, peek(1).text);
      at_ += 3;
      NodePtr inner = argument(false);
      if (inner == nullptr || !is_scalar(*inner)) return nullptr;
      return make_node(NodeKind::power,
                       {inner, make_node(NodeKind::divide, {make_number(1), index})});
    }
  }
  NodePtr inner = argument(false);
  if (inner == nullptr || !is_scalar(*inner) || degree < 1) return nullptr;
  return make_node(NodeKind::root, {inner}, "", degree);
}

// {a \over b} and {n \choose k}, of which `above` has been read; `above` itself where neither
// follows.
NodePtr MathParser::over_what_follows(NodePtr above) {
  const bool follows = (at(TokenKind::fraction) || at(TokenKind::binomial)) && at_infix();
  if (above == nullptr || !follows) return above;
  const NodeKind kind = at(TokenKind::fraction) ? NodeKind::divide : NodeKind::binomial;
  ++at_;
  NodePtr below = sum();
  if (!is_scalar(*above) || below == nullptr || !is_scalar(*below)) return nullptr;
  return make_node(kind, {above, below});
}

NodePtr MathParser::fraction_atom(NodeKind kind) {
  if (at_infix()) return nullptr;
  ++at_;
  NodePtr above = argument(true);
  if (above == nullptr || !is_scalar(*above)) return nullptr;
  NodePtr below = argument(true);
  if (below == nullptr || !is_scalar(*below)) return nullptr;
  return make_node(kind, {above, below});
}

NodePtr MathParser::bars() {
  ++at_;
  ++open_bars_;
  NodePtr inner = sum();
  --open_bars_;
  if (inner == nullptr || !is_scalar(*inner) || !take(TokenKind::bar)) return nullptr;
  return make_node(NodeKind::absolute, {inner});
}

NodePtr MathParser::fenced(NodeKind kind, TokenKind close) {
  ++at_;
  NodePtr inner = sum();
  if (inner == nullptr || !is_scalar(*inner) || !take(close)) return nullptr;
  return make_node(kind, {inner});
}

// {a, b}, \{a, b\}, and \{x | x > 2\}, whose bar or colon makes a union of one statement. A single
// thing in plain braces is only grouped.
NodePtr MathParser::braces(TokenKind close) {
  const bool grouping = close == TokenKind::close_group;
  ++at_;
  if (take(close)) return make_node(NodeKind::empty_set, {});
  ++open_bars_;  // a bar in here closes nothing and opens nothing
  std::string separator;
  std::vector<NodePtr> items;
  do {
    NodePtr item = grouping ? over_what_follows(statement()) : sets();
    if (!grouping && item != nullptr) {
      if (at(TokenKind::relation)) item = relations(std::move(item));
      if (item != nullptr && take(TokenKind::element_of) && sets() == nullptr) item = nullptr;
    }
    if (item == nullptr || items.size() >= kMaxItems) {
      --open_bars_;
      return nullptr;
    }
    items.push_back(std::move(item));
  } while (at_separator(separator));
  --open_bars_;
  const bool such_that = at(TokenKind::bar) || at(TokenKind::colon);
  if (such_that && items.size() == 1 && !grouping) {
    ++at_;
    NodePtr condition = statements(close);
    if (condition == nullptr || !take(close)) return nullptr;
    return make_node(NodeKind::unite, {condition});
  }
  if (!take(close)) return nullptr;
  if (grouping && items.size() == 1) return items.front();
  return make_node(NodeKind::set, std::move(items));
}

// (a), (a, b), [a, b), ]a, b[, (a, b, c), [a, b, c].
NodePtr MathParser::brackets(TokenKind open) {
  if (depth_ >= kMaxDepth) return nullptr;
  ++at_;
  ++depth_;
  const int outer_bars = std::exchange(open_bars_, 0);
  const bool outer_square = std::exchange(square_, open != TokenKind::open_paren);
  NodePtr inner = statements(TokenKind::end);
  open_bars_ = outer_bars;
  square_ = outer_square;
  --depth_;
  if (inner == nullptr) return nullptr;
  const TokenKind close = peek().kind;
  const bool closes = close == TokenKind::close_paren || close == TokenKind::close_bracket ||
                      (close == TokenKind::open_bracket && open != TokenKind::open_paren) ||
                      (close == TokenKind::open_bracket && inner->kind == NodeKind::list);
  if (!closes) return nullptr;
  ++at_;
  const bool list = inner->kind == NodeKind::list && inner->name == ",";
  const bool matching = (open == TokenKind::open_paren && close == TokenKind::close_paren) ||
                        (open == TokenKind::open_bracket && close == TokenKind::close_bracket);
  if (!list) return matching ? inner : nullptr;
  if (inner->items.size() == 2) {
    auto interval = std::make_shared<Node>();
    interval->kind = NodeKind::interval;
    interval->items = inner->items;
    interval->left_closed = open == TokenKind::open_bracket;
    interval->right_closed = close == TokenKind::close_bracket;
    return interval;
  }
  if (!matching) return nullptr;
  return make_node(NodeKind::tuple, inner->items, open == TokenKind::open_paren ? "(" : "[");
}

NodePtr MathParser::angles() {
  ++at_;
  NodePtr inner = statements(TokenKind::close_angle);
  if (inner == nullptr || inner->kind != NodeKind::list || !take(TokenKind::close_angle)) {
    return nullptr;
  }
  return make_node(NodeKind::tuple, inner->items, "<");
}

NodePtr MathParser::matrix() {
  const std::string name = peek().text;
  ++at_;
  std::vector<NodePtr> entries;
  size_t columns = 0, in_row = 0;
  const auto end_row = [&] {
    if (columns == 0) columns = in_row;
    const bool fits = in_row == columns;
    in_row = 0;
    return fits;
  };
  while (!at(TokenKind::end_matrix)) {
    NodePtr entry = name == "cases" ? statement() : sum();
    if (entry == nullptr || entries.size() >= kMaxItems) return nullptr;
    entries.push_back(std::move(entry));
    ++in_row;
    if (name == "cases") take(TokenKind::comma);
    if (take(TokenKind::column_break)) continue;
    if (take(TokenKind::row_break)) {
      if (!end_row()) return nullptr;
    } else if (!at(TokenKind::end_matrix)) {
      return nullptr;
    }
  }
  ++at_;
  if (in_row > 0 && !end_row()) return nullptr;
  if (columns == 0) return nullptr;
  if (name == "cases") {  // a system of statements; a piecewise function is not read
    return columns == 1 ? make_node(NodeKind::list, std::move(entries), "and") : nullptr;
  }
  const NodePtr matrix =
      make_node(NodeKind::matrix, std::move(entries), "", static_cast<int64_t>(columns));
  return name == "vmatrix" ? determinant(*matrix) : matrix;
}

}  // namespace temper
