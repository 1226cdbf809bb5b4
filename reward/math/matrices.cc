#include "reward/math/matrices.h"

#include "reward/math/budget.h"

namespace temper {
namespace {

constexpr size_t kMaxNodes = 2000;  // of all entries together, written out

size_t rows_of(const Node& matrix) {
  return matrix.items.size() / static_cast<size_t>(matrix.count);
}

const NodePtr& entry(const Node& matrix, size_t row, size_t column) {
  return matrix.items[row * static_cast<size_t>(matrix.count) + column];
}

// The nodes of the tree, counted up to the limit.
size_t count_nodes(const Node& node, size_t limit) {
  size_t count = 1;
  for (const NodePtr& item : node.items) {
    if (count >= limit) break;
    count += count_nodes(*item, limit - count);
  }
  return count;
}

NodePtr matrix_of(std::vector<NodePtr> entries, size_t columns) {
  if (entries.size() > kMaxItems) return nullptr;
  size_t nodes = 0;
  for (const NodePtr& item : entries) {
    nodes += count_nodes(*item, kMaxNodes);
    if (nodes >= kMaxNodes) return nullptr;
  }
  return make_node(NodeKind::matrix, std::move(entries), "", static_cast<int64_t>(columns));
}

NodePtr scaled(const NodePtr& value, const Node& matrix) {
  std::vector<NodePtr> entries;
  for (const NodePtr& item : matrix.items) {
    entries.push_back(make_node(NodeKind::multiply, {value, item}));
  }
  return matrix_of(std::move(entries), static_cast<size_t>(matrix.count));
}

// Without the first row and one column.
NodePtr minor_of(const Node& matrix, size_t column) {
  std::vector<NodePtr> entries;
  const size_t n = rows_of(matrix);
  for (size_t i = 1; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      if (j != column) entries.push_back(entry(matrix, i, j));
    }
  }
  return make_node(NodeKind::matrix, std::move(entries), "", matrix.count - 1);
}

}  // namespace

NodePtr matrix_sum(const NodePtr& a, const NodePtr& b) {
  if (a->count != b->count || a->items.size() != b->items.size()) return nullptr;
  std::vector<NodePtr> entries;
  for (size_t i = 0; i < a->items.size(); ++i) {
    entries.push_back(make_node(NodeKind::add, {a->items[i], b->items[i]}));
  }
  return matrix_of(std::move(entries), static_cast<size_t>(a->count));
}

NodePtr matrix_product(const NodePtr& a, const NodePtr& b) {
  if (a->kind != NodeKind::matrix) return is_scalar(*a) ? scaled(a, *b) : nullptr;
  if (b->kind != NodeKind::matrix) return is_scalar(*b) ? scaled(b, *a) : nullptr;
  const size_t rows = rows_of(*a), inner = rows_of(*b), columns = static_cast<size_t>(b->count);
  if (static_cast<size_t>(a->count) != inner) return nullptr;
  std::vector<NodePtr> entries;
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) {
      NodePtr sum;
      for (size_t k = 0; k < inner; ++k) {
        NodePtr term = make_node(NodeKind::multiply, {entry(*a, i, k), entry(*b, k, j)});
        sum = sum == nullptr ? term : make_node(NodeKind::add, {sum, term});
      }
      entries.push_back(std::move(sum));
    }
  }
  return matrix_of(std::move(entries), columns);
}

NodePtr transposed(const Node& matrix) {
  std::vector<NodePtr> entries;
  const size_t rows = rows_of(matrix);
  for (size_t j = 0; j < static_cast<size_t>(matrix.count); ++j) {
    for (size_t i = 0; i < rows; ++i) entries.push_back(entry(matrix, i, j));
  }
  return matrix_of(std::move(entries), rows);
}

NodePtr determinant(const Node& matrix) {
  const size_t n = rows_of(matrix);
  if (n != static_cast<size_t>(matrix.count) || n > 4) return nullptr;
  if (n == 1) return matrix.items[0];
  NodePtr sum;
  for (size_t j = 0; j < n; ++j) {
    const NodePtr rest = determinant(*minor_of(matrix, j));
    NodePtr term = make_node(NodeKind::multiply, {entry(matrix, 0, j), rest});
    if (j % 2 == 1) term = make_node(NodeKind::negate, {term});
    sum = sum == nullptr ? term : make_node(NodeKind::add, {sum, term});
  }
  return count_nodes(*sum, kMaxNodes) < kMaxNodes ? sum : nullptr;
}

}  // namespace temper
