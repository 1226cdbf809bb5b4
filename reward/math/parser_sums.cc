// Sums and products with a running index.
#include <string>

#include "reward/math/budget.h"
#include "reward/math/parser.h"

namespace temper {
namespace {

constexpr long kMaxTerms = 64;

// The tree in letters, so that equal trees have equal texts.
std::string text_of(const Node& node) {
  std::string text = "(" + std::to_string(static_cast<int>(node.kind)) + " " + node.name;
  if (node.kind == NodeKind::number) text += node.value.get_str();
  if (node.count != 0) text += "#" + std::to_string(node.count);
  for (const NodePtr& item : node.items) text += text_of(*item);
  return text + ")";
}

bool integer_of(const Node& node, long& value) {
  const bool negative = node.kind == NodeKind::negate;
  const Node& size = negative ? *node.items[0] : node;
  if (size.kind != NodeKind::number || size.value.get_den() != 1 || size.value > 1000000) {
    return false;
  }
  value = size.value.get_num().get_si() * (negative ? -1 : 1);
  return true;
}

bool holds_opaque(const Node& node) {
  if (node.kind == NodeKind::symbol && !node.items.empty()) return true;
  for (const NodePtr& item : node.items) {
    if (holds_opaque(*item)) return true;
  }
  return false;
}

// The terms of a short sum between integers, written out; nullptr for any other.
NodePtr written_out(const std::string& name, const std::string& index, const Node& low,
                    const Node& high, const NodePtr& body) {
  long from = 0, to = 0;
  if (!integer_of(low, from) || !integer_of(high, to) || to < from || to - from >= kMaxTerms ||
      holds_opaque(*body)) {
    return nullptr;
  }
  NodePtr total;
  for (long k = from; k <= to; ++k) {
    NodePtr term = substituted(body, {{index, mpq_class(k)}});
    if (total == nullptr) {
      total = std::move(term);
    } else {
      total = make_node(name == "sum" ? NodeKind::add : NodeKind::multiply, {total, term});
    }
  }
  return total;
}

}  // namespace

// \sum_{k=1}^n body: the body is the product that follows. The index loses its own letter. What is
// not written out is a symbol for all else, with its bounds and body as items.
NodePtr MathParser::sum_atom(const std::string& name) {
  std::string letter;
  NodePtr low, high;
  for (int i = 0; i < 2; ++i) {
    if (take(TokenKind::subscript)) {
      if (!take(TokenKind::open_group) || !at(TokenKind::symbol)) return nullptr;
      letter = peek().text;
      ++at_;
      if (!at(TokenKind::relation) || peek().text != "=") return nullptr;
      ++at_;
      low = sum();
      if (low == nullptr || !take(TokenKind::close_group)) return nullptr;
    } else if (take(TokenKind::power)) {
      high = argument(false);
    }
  }
  if (low == nullptr || high == nullptr || !is_scalar(*low) || !is_scalar(*high)) return nullptr;
  if (depth_ >= kMaxDepth) return nullptr;
  const std::string index = "index" + std::to_string(indices_.size());
  indices_.emplace_back(letter, index);
  ++depth_;
  const NodePtr body = product();
  --depth_;
  indices_.pop_back();
  if (body == nullptr || !is_scalar(*body)) return nullptr;
  if (NodePtr terms = written_out(name, index, *low, *high, body)) return terms;
  const NodePtr bounds = make_node(NodeKind::tuple, {low, high}, "(");
  const std::string text = name + text_of(*bounds) + text_of(*body);
  return make_node(NodeKind::symbol, {low, high, body}, text);
}

// The name that a letter has as an index of a sum around it; the letter itself elsewhere.
std::string MathParser::name_of_letter(const std::string& letter) const {
  for (auto at = indices_.rbegin(); at != indices_.rend(); ++at) {
    if (at->first == letter) return at->second;
  }
  return letter;
}

}  // namespace temper
