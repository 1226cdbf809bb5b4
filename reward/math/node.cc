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

}  // namespace temper
