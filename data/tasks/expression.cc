#include "data/tasks/expression.h"

#include <numeric>
#include <utility>

#include "core/error.h"

namespace temper {
namespace {

int precedence(char op) {
  return op == 0 ? 3 : op == '*' || op == '/' ? 2 : 1;
}

// The result of the step, or -1 if the step is not allowed.
int64_t result_of(int64_t left, char op, int64_t right, int64_t max_value) {
  int64_t result = -1;
  if (op == '+') result = left + right;
  if (op == '-') result = left - right;
  if (op == '*') result = left * right;
  if (op == '/' && right != 0 && left % right == 0) result = left / right;
  return result > max_value ? -1 : result;
}

}  // namespace

Expression Expression::random(const std::vector<int64_t>& numbers, const std::string& ops,
                              int64_t max_value, Random& random) {
  require(!numbers.empty() && !ops.empty(), "an expression needs numbers and operators");
  Expression expression;
  for (const int64_t number : numbers) expression.nodes_.push_back({number});
  std::vector<int> parts(numbers.size());
  std::iota(parts.begin(), parts.end(), 0);
  const auto draw = [&] {
    const uint32_t at = random.below(static_cast<uint32_t>(parts.size()));
    const int part = parts[at];
    parts.erase(parts.begin() + at);
    return part;
  };
  while (parts.size() > 1) {
    Node node;
    node.left = draw();
    node.right = draw();
    const auto value = [&](int i) { return expression.nodes_[static_cast<size_t>(i)].value; };
    if (value(node.left) < value(node.right)) std::swap(node.left, node.right);
    node.value = -1;
    for (int tries = 0; node.value < 0 && tries < 16; ++tries) {
      node.op = ops[random.below(static_cast<uint32_t>(ops.size()))];
      node.value = result_of(value(node.left), node.op, value(node.right), max_value);
    }
    if (node.value < 0) {
      node.op = '+';
      node.value = value(node.left) + value(node.right);
    }
    parts.push_back(static_cast<int>(expression.nodes_.size()));
    expression.nodes_.push_back(node);
  }
  return expression;
}

std::vector<ExpressionStep> Expression::steps() const {
  std::vector<ExpressionStep> steps;
  for (const Node& node : nodes_) {
    if (node.op == 0) continue;
    steps.push_back({nodes_[static_cast<size_t>(node.left)].value, node.op,
                     nodes_[static_cast<size_t>(node.right)].value, node.value});
  }
  return steps;
}

std::string Expression::text_after(int steps) const {
  return text_of(static_cast<int>(nodes_.size()) - 1, leaves() + steps);
}

std::string Expression::text_of(int at, int computed) const {
  const Node& node = nodes_[static_cast<size_t>(at)];
  if (node.op == 0 || at < computed) return std::to_string(node.value);
  const auto side = [&](int child, bool right) {
    const std::string text = text_of(child, computed);
    const bool is_number = child < computed;
    const int inner = is_number ? 3 : precedence(nodes_[static_cast<size_t>(child)].op);
    const int outer = precedence(node.op);
    const bool tight = right && (node.op == '-' || node.op == '/');
    const bool needed = inner < outer || (tight && inner == outer);
    return needed ? "(" + text + ")" : text;
  };
  return side(node.left, false) + node.op + side(node.right, true);
}

}  // namespace temper
