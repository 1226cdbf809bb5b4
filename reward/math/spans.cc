#include "reward/math/spans.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "reward/math/exact.h"
#include "reward/math/numeric.h"
#include "reward/math/scalar.h"

namespace temper {
namespace {

using Spans = std::optional<std::vector<Span>>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// One end of a span.
struct End {
  const NodePtr& node;
  double value;
};
End low_of(const Span& span) {
  return {span.low, span.low_value};
}
End high_of(const Span& span) {
  return {span.high, span.high_value};
}

// Whether two ends are the same: what doubles cannot tell apart is compared as it is written.
bool equal(const End& a, const End& b, MathBudget& budget) {
  if (std::isinf(a.value) || std::isinf(b.value)) return a.value == b.value;
  const double size = std::max(std::abs(a.value), std::abs(b.value));
  return std::abs(a.value - b.value) <= 1e-12 * size && same_value(*a.node, *b.node, budget);
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

std::vector<Span> merged(std::vector<Span> spans, MathBudget& budget) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return a.low_value == b.low_value ? a.low_closed && !b.low_closed : a.low_value < b.low_value;
  });
  std::vector<Span> result;
  for (Span& span : spans) {
    if (!result.empty()) {
      Span& last = result.back();
      const bool touches = equal(high_of(last), low_of(span), budget);
      if (touches ? (last.high_closed || span.low_closed) : span.low_value < last.high_value) {
        if (equal(low_of(last), low_of(span), budget)) {
          last.low_closed = last.low_closed || span.low_closed;
        }
        if (equal(high_of(last), high_of(span), budget)) {
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

std::vector<Span> intersection(const std::vector<Span>& a, const std::vector<Span>& b,
                               MathBudget& budget) {
  std::vector<Span> result;
  for (const Span& x : a) {
    for (const Span& y : b) {
      Span span = x;
      if (equal(low_of(x), low_of(y), budget)) {
        span.low_closed = x.low_closed && y.low_closed;
      } else if (y.low_value > x.low_value) {
        span.low = y.low, span.low_value = y.low_value, span.low_closed = y.low_closed;
      }
      if (equal(high_of(x), high_of(y), budget)) {
        span.high_closed = x.high_closed && y.high_closed;
      } else if (y.high_value < x.high_value) {
        span.high = y.high, span.high_value = y.high_value, span.high_closed = y.high_closed;
      }
      const bool point = equal(low_of(span), high_of(span), budget);
      if (point ? span.low_closed && span.high_closed : span.low_value < span.high_value) {
        result.push_back(std::move(span));
      }
    }
  }
  return merged(std::move(result), budget);
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
  if (node.kind == NodeKind::symbol) return node.items.empty();
  return node.kind == NodeKind::multiply && node.items.size() == 2 &&
         node.items[0]->kind == NodeKind::symbol && node.items[1]->kind == NodeKind::symbol &&
         std::string_view("fgh").find(node.items[0]->name) != std::string_view::npos;
}

// a x + b, of one symbol.
struct Linear {
  mpq_class a, b;
};
std::optional<Linear> linear(const Node& node, MathBudget& budget) {
  if (is_variable(node)) return Linear{1, 0};
  if (symbols_of(node).empty()) {
    const auto value = exact_value(node, budget);
    return value ? std::optional<Linear>({0, *value}) : std::nullopt;
  }
  if (node.items.empty() || node.items.size() > 2) return std::nullopt;
  const auto x = linear(*node.items[0], budget), y = linear(*node.items.back(), budget);
  if (!x || !y) return std::nullopt;
  switch (node.kind) {
    case NodeKind::add:
      return Linear{x->a + y->a, x->b + y->b};
    case NodeKind::negate:
      return Linear{-x->a, -x->b};
    case NodeKind::multiply:
      if (x->a != 0 && y->a != 0) return std::nullopt;
      return Linear{x->a * y->b + x->b * y->a, x->b * y->b};
    case NodeKind::divide:
      if (y->a != 0 || y->b == 0) return std::nullopt;
      return Linear{x->a / y->b, x->b / y->b};
    default:
      return std::nullopt;
  }
}

// Where a x + b is the value: (value - b) / a.
NodePtr solution(const Linear& line, const NodePtr& value) {
  if (line.a == 1 && line.b == 0) return value;
  const NodePtr rest = make_node(NodeKind::add, {value, make_number(-line.b)});
  return make_node(NodeKind::divide, {rest, make_number(line.a)});
}

// LINE OP bound.
Spans spans_of_line(const Linear& line, std::string op, const NodePtr& bound, MathBudget& budget) {
  if (line.a < 0 && op[0] != '=' && op[0] != '!') op[0] = op[0] == '<' ? '>' : '<';
  const NodePtr end = solution(line, bound);
  const bool closed = op.size() == 2;
  if (op == "=" || op == "!=") {
    const Spans point = make_span({end, end, 0, 0, true, true}, budget);
    return !point || op == "=" ? point : Spans(complement(*point));
  }
  if (op[0] == '<') return make_span({infinity_node(true), end, 0, 0, false, closed}, budget);
  if (op[0] == '>') return make_span({end, infinity_node(false), 0, 0, closed, false}, budget);
  return std::nullopt;
}

// |LINE| OP bound, for a bound above 0.
Spans spans_of_distance(const Linear& line, const std::string& op, const NodePtr& bound,
                        MathBudget& budget) {
  double size = 0;
  if (!approximate(*bound, budget, size) || !(size > 0)) return std::nullopt;
  const bool inside = op[0] == '<';
  if (!inside && op[0] != '>') return std::nullopt;
  const NodePtr other = make_node(NodeKind::negate, {bound});
  const Spans above = spans_of_line(line, op, bound, budget);
  const Spans below = spans_of_line(line, (inside ? ">" : "<") + op.substr(1), other, budget);
  if (!above || !below) return std::nullopt;
  if (inside) return intersection(*above, *below, budget);
  std::vector<Span> both = *above;
  both.insert(both.end(), below->begin(), below->end());
  return merged(std::move(both), budget);
}

// x OP a, a x + b OP c and |a x + b| OP c, or turned round.
Spans spans_of_relation(const Node& node, MathBudget& budget) {
  const bool left = !symbols_of(*node.items[0]).empty();
  const Node& side = *node.items[left ? 0 : 1];
  const NodePtr& bound = node.items[left ? 1 : 0];
  if (!symbols_of(*bound).empty() || !is_scalar(*bound)) return std::nullopt;
  std::string op = node.name;
  if (!left && (op[0] == '<' || op[0] == '>')) op[0] = op[0] == '<' ? '>' : '<';
  const bool distance = side.kind == NodeKind::absolute;
  const auto line = linear(distance ? *side.items[0] : side, budget);
  if (!line || line->a == 0) return std::nullopt;
  return distance ? spans_of_distance(*line, op, bound, budget)
                  : spans_of_line(*line, op, bound, budget);
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
      all = intersection(all, *part, budget);
    }
  }
  return merged(std::move(all), budget);
}

Spans spans_of_points(const std::vector<NodePtr>& items, MathBudget& budget) {
  std::vector<Span> all;
  for (const NodePtr& item : items) {
    if (!is_scalar(*item)) return std::nullopt;
    Spans point = make_span({item, item, 0, 0, true, true}, budget);
    if (!point) return std::nullopt;
    all.push_back(std::move(point->front()));
  }
  return merged(std::move(all), budget);
}

bool is_infinite(const Node& node) {
  if (node.kind == NodeKind::negate) return is_infinite(*node.items[0]);
  return node.kind == NodeKind::infinity;
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
      if (node.left_closed && is_infinite(*node.items[0])) return std::nullopt;
      if (node.right_closed && is_infinite(*node.items[1])) return std::nullopt;
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
      return intersection(*left, complement(*right), budget);
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
