#include "reward/math/node.h"

#include <algorithm>

namespace temper {
namespace {

void collect_symbols(const Node& node, std::vector<std::string>& names) {
  if (node.kind == NodeKind::symbol) names.push_back(node.name);
  for (const NodePtr& item : node.items) collect_symbols(*item, names);
}

}  // namespace

NodePtr make_node(NodeKind kind, std::vector<NodePtr> items, std::string name, int64_t count) {
  auto node = std::make_shared<Node>();
  node->kind = kind;
  node->items = std::move(items);
  node->name = std::move(name);
  node->count = count;
  return node;
}

NodePtr make_number(mpq_class value, int decimals) {
  auto node = std::make_shared<Node>();
  node->value = std::move(value);
  node->decimals = decimals;
  return node;
}

bool is_scalar(const Node& node) {
  return node.kind < NodeKind::list;
}

std::vector<std::string> symbols_of(const Node& node) {
  std::vector<std::string> names;
  collect_symbols(node, names);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

bool contains(const Node& node, NodeKind kind) {
  if (node.kind == kind) return true;
  return std::any_of(node.items.begin(), node.items.end(),
                     [kind](const NodePtr& item) { return contains(*item, kind); });
}

NodePtr difference_of(const Node& relation) {
  const NodePtr minus = make_node(NodeKind::negate, {relation.items[1]});
  return make_node(NodeKind::add, {relation.items[0], minus});
}

bool holds_lists(const std::vector<NodePtr>& items) {
  return std::any_of(items.begin(), items.end(),
                     [](const NodePtr& item) { return item->kind == NodeKind::list; });
}

std::vector<NodePtr> without_lists(const std::vector<NodePtr>& items) {
  std::vector<NodePtr> flat;
  for (const NodePtr& item : items) {
    if (item->kind == NodeKind::list) {
      flat.insert(flat.end(), item->items.begin(), item->items.end());
    } else {
      flat.push_back(item);
    }
  }
  return flat;
}

NodePtr substituted(const NodePtr& node, const RationalPoint& point) {
  if (node->kind == NodeKind::symbol) {
    const auto found = point.find(node->name);
    return found == point.end() ? node : make_number(found->second);
  }
  if (node->items.empty()) return node;
  auto copy = std::make_shared<Node>(*node);
  for (NodePtr& item : copy->items) item = substituted(item, point);
  return copy;
}

}  // namespace temper
