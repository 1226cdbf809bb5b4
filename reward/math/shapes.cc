#include "reward/math/shapes.h"

#include <algorithm>
#include <string_view>

#include "reward/math/named.h"

namespace temper {
namespace {

bool is_equation(const Node& node) {
  return node.kind == NodeKind::relation && node.name == "=";
}

// f(x): the letter of a function and that of its argument.
bool is_call(const Node& node) {
  return node.kind == NodeKind::multiply && node.items[0]->kind == NodeKind::symbol &&
         node.items[1]->kind == NodeKind::symbol &&
         std::string_view("fghFGHPpqQTSV").find(node.items[0]->name) != std::string_view::npos;
}

bool mentions(const Node& node, const std::string& symbol) {
  const std::vector<std::string> names = symbols_of(node);
  return std::find(names.begin(), names.end(), symbol) != names.end();
}

NodePtr renamed(const NodePtr& node, const std::string& from, const NodePtr& to) {
  if (node->kind == NodeKind::symbol) return node->name == from ? to : node;
  if (node->items.empty()) return node;
  auto copy = std::make_shared<Node>(*node);
  for (NodePtr& item : copy->items) item = renamed(item, from, to);
  return copy;
}

// Whether no point is written so: a closed end or one at infinity.
bool has_a_span_end(const Node& interval) {
  if (interval.left_closed || interval.right_closed) return true;
  return std::any_of(interval.items.begin(), interval.items.end(),
                     [](const NodePtr& end) { return contains(*end, NodeKind::infinity); });
}

}  // namespace

bool same_tree(const Node& a, const Node& b) {
  const bool alike = a.kind == b.kind && a.name == b.name && a.count == b.count &&
                     a.value == b.value && a.decimals == b.decimals &&
                     a.left_closed == b.left_closed && a.right_closed == b.right_closed &&
                     a.items.size() == b.items.size();
  return alike && std::equal(a.items.begin(), a.items.end(), b.items.begin(),
                             [](const NodePtr& x, const NodePtr& y) { return same_tree(*x, *y); });
}

bool is_value_with_decimals(const Node& node) {
  return node.kind == NodeKind::relation && node.name == "~" && is_scalar(*node.items[0]) &&
         is_scalar(*node.items[1]) && !is_name(*node.items[0]);
}

bool same_digits(const Node& gold, const Node& answer) {
  if (gold.kind != NodeKind::base) return false;
  if (answer.kind == NodeKind::base) return gold.name == answer.name && gold.count == answer.count;
  return answer.kind == NodeKind::number && answer.value.get_den() == 1 &&
         answer.value.get_num().get_str() == gold.name;
}

NodePtr in_base_ten(const Node& node) {
  const bool plain = node.kind == NodeKind::base && node.count == 10 &&
                     node.name.find_first_not_of("0123456789") == std::string::npos;
  return plain ? make_number(mpq_class(mpz_class(node.name, 10))) : nullptr;
}

bool is_vector(const Node& node) {
  if (node.kind != NodeKind::matrix || node.items.size() < 2) return false;
  return node.count == 1 || static_cast<size_t>(node.count) == node.items.size();
}

bool is_open_pair(const Node& node) {
  return node.kind == NodeKind::interval && !node.left_closed && !node.right_closed;
}

bool is_statement(const Node& node) {
  if (node.kind == NodeKind::relation || node.kind == NodeKind::chain) return true;
  return node.kind == NodeKind::list &&
         std::all_of(node.items.begin(), node.items.end(),
                     [](const NodePtr& item) { return is_statement(*item); });
}

bool holds_inequality(const Node& node) {
  if (node.kind == NodeKind::relation) return node.name != "=" && node.name != "~";
  const bool parts = node.kind == NodeKind::chain || node.kind == NodeKind::list;
  return parts && std::any_of(node.items.begin(), node.items.end(),
                              [](const NodePtr& item) { return holds_inequality(*item); });
}

bool is_solved(const Node& statement) {
  if (symbols_of(statement).size() != 1) return false;
  if (statement.kind != NodeKind::relation) {
    return std::all_of(statement.items.begin(), statement.items.end(),
                       [](const NodePtr& item) { return is_solved(*item); });
  }
  const auto alone = [](const Node& side) {
    const bool signed_letter = side.kind == NodeKind::absolute || side.kind == NodeKind::negate;
    return (signed_letter ? *side.items[0] : side).kind == NodeKind::symbol;
  };
  const Node& left = *statement.items[0];
  const Node& right = *statement.items[1];
  return (alone(left) && symbols_of(right).empty()) || (alone(right) && symbols_of(left).empty());
}

bool about_the_same(const Node& a, const Node& b) {
  return symbols_of(a) == symbols_of(b);
}

const Node& without_name(const Node& answer) {
  return is_equation(answer) && !is_scalar(*answer.items[1]) ? *answer.items[1] : answer;
}

NodePtr as_equations(const Node& answer) {
  if (!is_equation(answer)) return nullptr;
  const Node& names = *answer.items[0];
  const Node& values = *answer.items[1];
  const auto is_point = [](const Node& n) {
    return is_open_pair(n) || (n.kind == NodeKind::tuple && n.name == "(");
  };
  if (!is_point(names) || !is_point(values) || names.items.size() != values.items.size()) {
    return nullptr;
  }
  std::vector<NodePtr> equations;
  for (size_t i = 0; i < names.items.size(); ++i) {
    if (names.items[i]->kind != NodeKind::symbol) return nullptr;
    equations.push_back(make_node(NodeKind::relation, {names.items[i], values.items[i]}, "="));
  }
  return make_node(NodeKind::list, std::move(equations), ",");
}

bool is_system(const Node& node) {
  if (node.kind != NodeKind::list || node.name == "or" || node.items.size() < 2) return false;
  std::vector<std::string> things;
  for (const NodePtr& item : node.items) {
    if (!is_equation(*item) || item->items[0]->kind != NodeKind::symbol) return false;
    const std::string& name = item->items[0]->name;
    things.push_back(name.substr(0, name.find('_')));
  }
  std::sort(things.begin(), things.end());
  return std::adjacent_find(things.begin(), things.end()) == things.end();
}

bool holds_equation(const Node& node) {
  return std::any_of(node.items.begin(), node.items.end(),
                     [](const NodePtr& item) { return is_equation(*item); });
}

NodePtr with_roots_of(const Node& list, const std::string& symbol) {
  NodePtr product;
  if (list.items.size() < 2) return nullptr;
  for (const NodePtr& item : list.items) {
    const bool root = is_equation(*item) && item->items[0]->kind == NodeKind::symbol &&
                      item->items[0]->name == symbol && is_scalar(*item->items[1]) &&
                      symbols_of(*item->items[1]).empty();
    if (!root) return nullptr;
    const NodePtr factor = difference_of(*item);
    product = product == nullptr ? factor : make_node(NodeKind::multiply, {product, factor});
  }
  return product;
}

bool is_in_terms_of_itself(const Node& name, const Node& value) {
  const bool product = name.kind == NodeKind::multiply && !is_call(name);
  if (name.kind != NodeKind::symbol && !product) return false;
  const std::vector<std::string> names = symbols_of(name);
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& symbol) { return mentions(value, symbol); });
}

bool lists_intervals(const Node& node) {
  if (node.kind != NodeKind::list) return false;
  const bool intervals = std::all_of(node.items.begin(), node.items.end(), [](const NodePtr& item) {
    return item->kind == NodeKind::interval;
  });
  return intervals && std::any_of(node.items.begin(), node.items.end(),
                                  [](const NodePtr& item) { return has_a_span_end(*item); });
}

bool names_one_unknown(const Node& a, const Node& b) {
  if (a.kind != NodeKind::symbol || b.kind != NodeKind::symbol) return false;
  const std::string& shorter = a.name.size() < b.name.size() ? a.name : b.name;
  const std::string& longer = a.name.size() < b.name.size() ? b.name : a.name;
  if (!longer.starts_with(shorter + "_")) return false;
  const std::string index = longer.substr(shorter.size() + 1);
  return !index.empty() && index.find_first_not_of("0123456789") == std::string::npos;
}

NodePtr with_argument_of(const Node& like, const Node& equation) {
  if (!is_call(like) || !is_equation(equation) || !is_call(*equation.items[0])) return nullptr;
  const Node& call = *equation.items[0];
  const NodePtr& letter = like.items[1];
  const std::string& own = call.items[1]->name;
  const bool one_function = call.items[0]->name == like.items[0]->name && own != letter->name;
  if (!one_function || mentions(*equation.items[1], letter->name)) return nullptr;
  return renamed(equation.items[1], own, letter);
}

bool are_alike_sums(const Node& a, const Node& b) {
  return a.kind == NodeKind::symbol && b.kind == NodeKind::symbol && !a.items.empty() &&
         !b.items.empty() && a.name.substr(0, 3) == b.name.substr(0, 3);
}

bool holds_pi(const Node& node) {
  if (node.kind == NodeKind::constant) return node.name == "pi";
  return std::any_of(node.items.begin(), node.items.end(),
                     [](const NodePtr& item) { return holds_pi(*item); });
}

bool name_one_curve(const Node& a, const Node& b) {
  const Node& call = is_call(a) ? a : b;
  const Node& letter = is_call(a) ? b : a;
  return is_call(call) && letter.kind == NodeKind::symbol && letter.name == "y" &&
         call.items[1]->name != "y";
}

}  // namespace temper
