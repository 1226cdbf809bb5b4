// Arithmetic expressions over given integers whose every step is a non-negative integer: what the
// built-in tasks are made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/random.h"

namespace temper {

// A step in computing an expression: left op right = result.
struct ExpressionStep {
  int64_t left = 0;
  char op = '+';
  int64_t right = 0;
  int64_t result = 0;
};

// A binary tree, leaves first; the last node is the root.
class Expression {
 public:
  // A random tree over all of `numbers`: two random parts are joined by a random operator of `ops`
  // (of "+-*/") until one is left; '-' keeps results >= 0, '/' is used where it divides evenly, and
  // no result exceeds `max_value`. Where no operator fits, '+' is used and may exceed it.
  static Expression random(const std::vector<int64_t>& numbers, const std::string& ops,
                           int64_t max_value, Random& random);

  int64_t value() const { return nodes_.back().value; }
  // With parentheses only where precedence and left association need them: "(3+7)*2".
  std::string text() const { return text_after(0); }
  // The same after the first `steps` steps are computed: "10*2" after one.
  std::string text_after(int steps) const;
  // In an order of evaluation: the order in which the tree was joined.
  std::vector<ExpressionStep> steps() const;

 private:
  struct Node {
    int64_t value = 0;
    char op = 0;  // 0: a leaf
    int left = -1, right = -1;
  };
  std::string text_of(int node, int computed) const;
  int leaves() const { return (static_cast<int>(nodes_.size()) + 1) / 2; }

  std::vector<Node> nodes_;
};

}  // namespace temper
