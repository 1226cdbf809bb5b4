#include "reward/math/named.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "reward/math/units.h"

namespace temper {
namespace {

bool is_function_letter(const std::string& name) {
  return name.size() == 1 && std::string_view("fghFGHPpqQTSV").find(name) != std::string_view::npos;
}

// The factors of a product of a value and letters that are units, as a value and its units.
bool split_units(const NodePtr& node, int sign, std::vector<NodePtr>& values,
                 std::vector<UnitFactor>& units) {
  if (symbols_of(*node).empty()) {
    values.push_back(sign > 0 ? node : make_node(NodeKind::divide, {make_number(1), node}));
    return true;
  }
  if (node->kind == NodeKind::symbol) {
    units.push_back({canonical_unit(node->name), sign, true});
    return is_unit(node->name);
  }
  if (node->kind == NodeKind::multiply || node->kind == NodeKind::divide) {
    const int second = node->kind == NodeKind::multiply ? sign : -sign;
    return split_units(node->items[0], sign, values, units) &&
           split_units(node->items[1], second, values, units);
  }
  if (node->kind != NodeKind::power || node->items[0]->kind != NodeKind::symbol) return false;
  const NodePtr& exponent = node->items[1];
  const bool negative = exponent->kind == NodeKind::negate;
  const Node& size = negative ? *exponent->items[0] : *exponent;
  if (size.kind != NodeKind::number || size.value.get_den() != 1 || size.value > 4) return false;
  const int by = static_cast<int>(size.value.get_num().get_si());
  units.push_back({canonical_unit(node->items[0]->name), sign * (negative ? -by : by), true});
  return is_unit(node->items[0]->name);
}

// f(2), f(-2) and, for any letter, I(0): the number; nullptr for anything else.
const Node* argument_of_value(const Node& node) {
  if (node.kind != NodeKind::multiply || node.items[0]->kind != NodeKind::symbol) return nullptr;
  const Node& argument = *node.items[1];
  const Node& size = argument.kind == NodeKind::negate ? *argument.items[0] : argument;
  if (size.kind != NodeKind::number) return nullptr;
  const bool function = std::string_view("fghFG").find(node.items[0]->name) != std::string::npos;
  return function || size.value == 0 ? &argument : nullptr;
}

}  // namespace

Measured measured(const NodePtr& node) {
  switch (node->kind) {
    case NodeKind::percent:
    case NodeKind::degree:
    case NodeKind::quantity:
      return {node->items[0], node->kind, node->name};
    case NodeKind::negate: {
      Measured inner = measured(node->items[0]);
      inner.value = make_node(NodeKind::negate, {inner.value});
      return inner;
    }
    default:
      return {node};
  }
}

NodePtr with_letters_as_units(const NodePtr& node) {
  std::vector<NodePtr> values;
  std::vector<UnitFactor> units;
  if (!split_units(node, 1, values, units) || values.empty() || units.empty()) return nullptr;
  NodePtr value = values.front();
  for (size_t i = 1; i < values.size(); ++i) {
    value = make_node(NodeKind::multiply, {value, values[i]});
  }
  return make_node(NodeKind::quantity, {value}, name_of_unit(std::move(units)));
}

bool is_name(const Node& node) {
  if (node.kind == NodeKind::symbol) return node.items.empty();  // a sum is none
  if (node.kind == NodeKind::absolute) return node.items[0]->kind == NodeKind::symbol;
  if (node.kind == NodeKind::divide) {  // dy/dx
    const Node& below = *node.items[1];
    return is_name(*node.items[0]) && below.kind == NodeKind::multiply &&
           below.items[0]->kind == NodeKind::symbol && below.items[0]->name == "d";
  }
  if (node.kind != NodeKind::multiply) return false;
  const Node& first = *node.items[0];
  const Node& second = *node.items[1];
  if (second.kind == NodeKind::symbol) return is_name(first) && first.kind != NodeKind::absolute;
  const bool value = second.kind == NodeKind::number || second.kind == NodeKind::negate;
  return first.kind == NodeKind::symbol && is_function_letter(first.name) && value;
}

bool holds_function_values(const Node& node) {
  return argument_of_value(node) != nullptr ||
         std::any_of(node.items.begin(), node.items.end(),
                     [](const NodePtr& item) { return holds_function_values(*item); });
}

NodePtr with_function_values(const NodePtr& node) {
  if (node->items.empty()) return node;
  if (const Node* argument = argument_of_value(*node)) {
    const bool negative = argument->kind == NodeKind::negate;
    const Node& size = negative ? *argument->items[0] : *argument;
    const std::string value = (negative ? "-" : "") + size.value.get_str();
    return make_node(NodeKind::symbol, {}, node->items[0]->name + "(" + value + ")");
  }
  auto copy = std::make_shared<Node>(*node);
  for (NodePtr& item : copy->items) item = with_function_values(item);
  return copy;
}

bool is_quantity_name(const Node& node) {
  if (is_name(node)) return true;
  const bool parts = node.kind == NodeKind::divide || node.kind == NodeKind::absolute ||
                     node.kind == NodeKind::ratio || node.kind == NodeKind::tuple ||
                     (node.kind == NodeKind::interval && !node.left_closed && !node.right_closed);
  return parts && std::all_of(node.items.begin(), node.items.end(),
                              [](const NodePtr& item) { return is_name(*item); });
}

}  // namespace temper
