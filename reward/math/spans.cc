#include "reward/math/spans.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "reward/math/numeric.h"
#include "reward/math/scalar.h"

namespace temper {
namespace {

using Spans = std::optional<std::vector<Span>>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool close(double a, double b) {
  if (a == b || std::isinf(a) || std::isinf(b)) return a == b;
  return std::abs(a - b) <= 1e-12 * std::max(std::abs(a), std::abs(b));
}

NodePtr infinity_node(bool negative) {
  NodePtr node = make_node(NodeKind::infinity, {});
  return negative ? make_node(NodeKind::negate, {node}) : node;
}

Span whole_line() {
  return {infinity_node(true), infinity_node(false), -kInfinity, kInfinity, false, false};
}

Spans make_span(Span span, MathBudget& budget) {
  if (!approximate(*span.low, budget, span.low_value) ||
      !approximate(*span.high, budget, span.high_value)) {
    return std::nullopt;
  }
  if (span.low_value > span.high_value) return std::nullopt;
  if (std::isinf(span.low_value)) span.low_closed = false;
  if (std::isinf(span.high_value)) span.high_closed = false;
  return std::vector<Span>{std::move(span)};
}

std::vector<Span> merged(std::vector<Span> spans) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return close(a.low_value, b.low_value) ? a.low_closed && !b.low_closed
                                           : a.low_value < b.low_value;
  });
  std::vector<Span> result;
  for (Span& span : spans) {
    if (!result.empty()) {
      Span& last = result.back();
      const bool touches = close(last.high_value, span.low_value);
      if (touches ? (last.high_closed || span.low_closed) : span.low_value < last.high_value) {
        if (close(last.high_value, span.high_value)) {
          last.high_closed = last.high_closed || span.high_closed;
        } else if (span.high_value > last.high_value) {
          last.high = span.high;
          last.high_value = span.high_value;
          last.high_closed = span.high_closed;
        }
        continue;
      }
    }
    result.push_back(std::move(span));
  }
  return result;
}

std::vector<Span> intersection(const std::vector<Span>& a, const std::vector<Span>& b) {
  std::vector<Span> result;
  for (const Span& x : a) {
    for (const Span& y : b) {
      Span span = x;
      if (close(x.low_value, y.low_value)) {
        span.low_closed = x.low_closed && y.low_closed;
      } else if (y.low_value > x.low_value) {
        span.low = y.low, span.low_value = y.low_value, span.low_closed = y.low_closed;
      }
      if (close(x.high_value, y.high_value)) {
        span.high_closed = x.high_closed && y.high_closed;
      } else if (y.high_value < x.high_value) {
        span.high = y.high, span.high_value = y.high_value, span.high_closed = y.high_closed;
      }
      const bool point = close(span.low_value, span.high_value);
      if (point ? span.low_closed && span.high_closed : span.low_value < span.high_value) {
        result.push_back(std::move(span));
      }
    }
  }
  return merged(std::move(result));
}

std::vector<Span> complement(const std::vector<Span>& spans) {
  std::vector<Span> result;
  Span gap = whole_line();
  for (const Span& span : spans) {
    gap.high = span.low;
    gap.high_value = span.low_value;
    gap.high_closed = !span.low_closed && !std::isinf(span.low_value);
    if (gap.low_value < gap.high_value) result.push_back(gap);
    gap.low = span.high;
    gap.low_value = span.high_value;
    gap.low_closed = !span.high_closed;
  }
  gap.high = infinity_node(false);
  gap.high_value = kInfinity;
  gap.high_closed = false;
  if (gap.low_value < kInfinity) result.push_back(gap);
  return result;
}

// x, or f(x): what a statement is about.
bool is_variable(const Node& node) {
  if (node.kind == NodeKind::symbol) return true;
  return node.kind == NodeKind::multiply && node.items.size() == 2 &&
         node.items[0]->kind == NodeKind::symbol && node.items[1]->kind == NodeKind::symbol &&
         std::string_view("fgh").find(node.items[0]->name) != std::string_view::npos;
}

// x OP a, or a OP x turned round.
Spans spans_of_relation(const Node& node, MathBudget& budget) {
  const bool symbol_left = is_variable(*node.items[0]);
  const Node& symbol = *node.items[symbol_left ? 0 : 1];
  const NodePtr& bound = node.items[symbol_left ? 1 : 0];
  if (!is_variable(symbol) || !symbols_of(*bound).empty() || !is_scalar(*bound)) {
    return std::nullopt;
  }
  std::string op = node.name;
  if (!symbol_left && op[0] == '<') {
    op[0] = '>';
  } else if (!symbol_left && op[0] == '>') {
    op[0] = '<';
  }
  const bool closed = op.size() == 2;
  if (op == "=" || op == "!=") {
    const Spans point = make_span({bound, bound, 0, 0, true, true}, budget);
    return !point || op == "=" ? point : Spans(complement(*point));
  }
  if (op[0] == '<') return make_span({infinity_node(true), bound, 0, 0, false, closed}, budget);
  if (op[0] == '>') return make_span({bound, infinity_node(false), 0, 0, closed, false}, budget);
  return std::nullopt;
}

// The parts joined by union or by intersection.
Spans joined(const std::vector<NodePtr>& items, bool unite, MathBudget& budget) {
  std::vector<Span> all;
  if (!unite) all.push_back(whole_line());
  for (const NodePtr& item : items) {
    Spans part = spans_of(*item, budget);
    if (!part) return std::nullopt;
    if (unite) {
      for (Span& span : *part) all.push_back(std::move(span));
    } else {
      all = intersection(all, *part);
    }
  }
  return merged(std::move(all));
}

Spans spans_of_points(const std::vector<NodePtr>& items, MathBudget& budget) {
  std::vector<Span> all;
  for (const NodePtr& item : items) {
    if (!is_scalar(*item)) return std::nullopt;
    Spans point = make_span({item, item, 0, 0, true, true}, budget);
    if (!point) return std::nullopt;
    all.push_back(std::move(point->front()));
  }
  return merged(std::move(all));
}

// Statements about one symbol only can be solved one by one.
bool about_one_symbol(const Node& node) {
  const size_t symbols = symbols_of(node).size();
  if (symbols != 2 || node.kind != NodeKind::chain) return symbols == 1;
  return is_variable(*node.items[0]->items[1]);  // 0 < f(x) < 1
}

}  // namespace

std::optional<std::vector<Span>> spans_of(const Node& node, MathBudget& budget) {
  switch (node.kind) {
    case NodeKind::interval:
      return make_span({node.items[0], node.items[1], 0, 0, node.left_closed, node.right_closed},
                       budget);
    case NodeKind::set:
      return spans_of_points(node.items, budget);
    case NodeKind::empty_set:
      return std::vector<Span>{};
    case NodeKind::number_set:
      return node.name == "R" ? Spans({whole_line()}) : std::nullopt;
    case NodeKind::unite:
      return joined(node.items, true, budget);
    case NodeKind::intersect:
      return joined(node.items, false, budget);
    case NodeKind::set_minus: {
      const Spans left = spans_of(*node.items[0], budget), right = spans_of(*node.items[1], budget);
      if (!left || !right) return std::nullopt;
      return intersection(*left, complement(*right));
    }
    case NodeKind::element_of:
      if (node.items[0]->kind != NodeKind::symbol) return std::nullopt;
      return spans_of(*node.items[1], budget);
    case NodeKind::relation:
      return spans_of_relation(node, budget);
    case NodeKind::chain:
      return about_one_symbol(node) ? joined(node.items, false, budget) : std::nullopt;
    case NodeKind::list: {
      const bool statements =
          std::all_of(node.items.begin(), node.items.end(), [](const NodePtr& item) {
            return item->kind == NodeKind::relation || item->kind == NodeKind::chain;
          });
      if (statements && !about_one_symbol(node)) return std::nullopt;
      const bool differences =
          statements && std::all_of(node.items.begin(), node.items.end(),
                                    [](const NodePtr& item) { return item->name == "!="; });
      return joined(node.items, node.name != "and" && !differences, budget);
    }
    default:
      return std::nullopt;
  }
}

bool same_spans(const std::vector<Span>& gold, const std::vector<Span>& answer,
                MathBudget& budget) {
  if (gold.size() != answer.size()) return false;
  for (size_t i = 0; i < gold.size(); ++i) {
    const bool same_kind =
        gold[i].low_closed == answer[i].low_closed && gold[i].high_closed == answer[i].high_closed;
    if (!same_kind || !same_value(*gold[i].low, *answer[i].low, budget) ||
        !same_value(*gold[i].high, *answer[i].high, budget)) {
      return false;
    }
  }
  return true;
}

}  // namespace temper
