// A parsed answer: a tree of typed nodes.
#pragma once

#include <gmpxx.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace temper {

enum class NodeKind : uint8_t {
  // Scalars
  number,    // value; decimals >= 0 if written with a point
  symbol,    // name; items: low, high and body of a sum with a running index
  constant,  // name: pi, e, i
  infinity,
  add,       // items
  multiply,  // items
  divide,    // items: above, below
  power,     // items: base, exponent
  negate,    // items: one
  root,      // items: radicand; degree in `count`
  function,  // name; items: argument, and for log with a base the base
  factorial,
  absolute,
  floor,
  ceiling,
  binomial,    // items: n, k
  percent,     // items: one
  degree,      // items: one
  quantity,    // items: one; name: the unit in canonical form
  plus_minus,  // items: one or two; count is +1 for plus-or-minus, -1 for minus-or-plus
  base,        // name: the digits; count: the base
  // Collections
  list,      // items in no brackets
  set,       // items
  tuple,     // items; name: the bracket, "(" or "[" or "<"
  interval,  // items: low, high; left_closed, right_closed; both open may be a pair
  unite,
  intersect,
  set_minus,
  empty_set,
  number_set,  // name: R, Q, Z, N, C
  matrix,      // items by rows; count: columns
  ratio,       // items: the parts of a:b, a:b:c
  // Statements
  relation,    // items: left, right; name: "=", "<", ...
  chain,       // items: relations that share their middle sides, a < b < c
  element_of,  // items: element, set
};

struct Node;
using NodePtr = std::shared_ptr<const Node>;

struct Node {
  NodeKind kind = NodeKind::number;
  mpq_class value = 0;
  int decimals = -1;
  int64_t count = 0;
  bool left_closed = false, right_closed = false;
  std::string name = {};
  std::vector<NodePtr> items = {};
};

// A node of the kind with these items; `name` and `count` as the kind says above.
NodePtr make_node(NodeKind kind, std::vector<NodePtr> items, std::string name = {},
                  int64_t count = 0);
// A number, with its decimal places if it was written with a point.
NodePtr make_number(mpq_class value, int decimals = -1);

// Whether the node is one value, not a collection or a statement.
bool is_scalar(const Node& node);

// The names of the symbols below the node, sorted, each once.
std::vector<std::string> symbols_of(const Node& node);

// Whether a node of this kind is in the tree.
bool contains(const Node& node, NodeKind kind);

// Left minus right of a relation.
NodePtr difference_of(const Node& relation);

// Whether there is a list among the items, and the items with its own in its place.
bool holds_lists(const std::vector<NodePtr>& items);
std::vector<NodePtr> without_lists(const std::vector<NodePtr>& items);

// Rational numbers for symbols.
using RationalPoint = std::map<std::string, mpq_class>;

// The tree with numbers for its symbols.
NodePtr substituted(const NodePtr& node, const RationalPoint& point);

}  // namespace temper
