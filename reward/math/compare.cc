#include "reward/math/compare.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "reward/math/named.h"
#include "reward/math/scalar.h"
#include "reward/math/shapes.h"
#include "reward/math/spans.h"

namespace temper {
namespace {

class Comparison {
 public:
  Comparison(const CompareOptions& options, MathBudget& budget)
      : options_(options), budget_(budget) {}

  bool same(const NodePtr& gold, const NodePtr& answer) {
    if (!budget_.spend(1)) return false;
    if (same_tree(*gold, *answer)) return true;
    if (is_scalar(*gold)) return scalar(gold, answer);
    if (is_value_with_decimals(*gold)) {
      return same(gold->items[0], answer) || same(gold->items[1], answer);
    }
    switch (gold->kind) {
      case NodeKind::list:
      case NodeKind::set:
        return collection(*gold, *answer, answer);
      case NodeKind::tuple:
        return tuple(*gold, *answer);
      case NodeKind::interval:
        return interval(*gold, *answer);
      case NodeKind::matrix:
        return matrix(*gold, without_name(*answer));
      case NodeKind::ratio:
        return ratio(*gold, *answer);
      case NodeKind::relation:
        return relation(*gold, answer);
      case NodeKind::chain:
        return chain(*gold, *answer);
      case NodeKind::number_set:
        return (answer->kind == NodeKind::number_set && answer->name == gold->name) ||
               spans(*gold, *answer, false);
      case NodeKind::element_of:
        if (answer->kind == NodeKind::element_of) {
          return same(gold->items[0], answer->items[0]) && same(gold->items[1], answer->items[1]);
        }
        return same(gold->items[1], answer);
      default:
        return spans(*gold, *answer, false);
    }
  }

 private:
  bool scalar(const NodePtr& gold, const NodePtr& answer) {
    if (answer->kind == NodeKind::relation || answer->kind == NodeKind::chain) {
      return value_of_equation(gold, *answer);
    }
    if (answer->kind == NodeKind::list) {  // one value in several forms: "12x-34, or -34+12x"
      return std::all_of(answer->items.begin(), answer->items.end(),
                         [&](const NodePtr& item) { return scalar(gold, item); });
    }
    if (answer->kind == NodeKind::ratio) return quotient_of_ratio(*gold, *answer);
    if (!is_scalar(*answer)) return false;
    if (are_alike_sums(*gold, *answer) && items_in_order(*gold, *answer)) return true;
    const NodePtr plain = gold->kind == NodeKind::base ? nullptr : in_base_ten(*answer);
    if (plain != nullptr) return scalar(gold, plain);
    if (gold->kind == NodeKind::base || answer->kind == NodeKind::base) {
      return same_digits(*gold, *answer);
    }
    if (holds_function_values(*gold) || holds_function_values(*answer)) {  // I(0) is not 0
      return scalar(with_function_values(gold), with_function_values(answer));
    }
    const Measured g = measured(gold), a = measured(answer);
    const bool letters = g.kind == NodeKind::quantity || a.kind == NodeKind::quantity;
    if (letters && g.kind != a.kind) {  // 10 m/s with the units as letters of a formula
      const NodePtr left = g.kind == NodeKind::quantity ? gold : with_letters_as_units(gold);
      const NodePtr right = a.kind == NodeKind::quantity ? answer : with_letters_as_units(answer);
      if (left != nullptr && right != nullptr) return scalar(left, right);
    }
    if (g.kind == a.kind) {
      return g.unit == a.unit && same_value(*g.value, *a.value, budget_);
    }
    if (g.kind == NodeKind::percent) {
      if (a.kind != NodeKind::number) return false;
      return same_value(*g.value, *a.value, budget_) || same_value(*gold, *a.value, budget_);
    }
    if (g.kind == NodeKind::number && a.kind == NodeKind::percent) {
      return same_value(*g.value, *answer, budget_) ||
             (options_.percent_asked && same_value(*g.value, *a.value, budget_));
    }
    // pi/3 is 60 degrees, and 60 degrees are pi/3.
    const bool turned = g.kind == NodeKind::number && a.kind == NodeKind::degree;
    if (turned && same_value(*g.value, *answer, budget_)) return true;
    const bool radians =
        g.kind == NodeKind::degree && a.kind == NodeKind::number && holds_pi(*answer);
    if (radians) return same_value(*gold, *a.value, budget_);
    // A unit on one side only: missing is allowed, and so is one that the gold leaves out.
    const bool one_sided = g.kind == NodeKind::number || a.kind == NodeKind::number;
    return one_sided && same_value(*g.value, *a.value, budget_);
  }

  // 3:4 for the gold 3/4.
  bool quotient_of_ratio(const Node& gold, const Node& answer) {
    if (answer.items.size() != 2 || answer.name == "to") return false;
    return same_value(gold, *make_node(NodeKind::divide, answer.items), budget_);
  }

  // name = value, name = form = value, value = value; what follows an "approximately" is left out.
  bool value_of_equation(const NodePtr& gold, const Node& equation) {
    std::vector<NodePtr> links;
    if (equation.kind == NodeKind::relation) {
      links.push_back(std::make_shared<Node>(equation));
    } else {
      links = equation.items;
    }
    std::vector<NodePtr> sides = {links.front()->items[0]};
    bool exact = true;
    for (const NodePtr& link : links) {
      if (link->name == "~" && (sides.size() > 1 || !is_name(*sides[0]))) exact = false;
      if (link->name != "=" && link->name != "~") return false;
      if (exact) sides.push_back(link->items[1]);
    }
    const bool named = is_name(*sides[0]) && sides.size() > 1;
    size_t first = named ? 1 : 0;
    while (named && first + 1 < sides.size() && is_name(*sides[first])) ++first;  // AB = BC = 5
    if (named && is_in_terms_of_itself(*sides[0], *sides.back())) return false;
    for (size_t i = first; i < sides.size(); ++i) {
      if (!is_scalar(*sides[i]) || !scalar(gold, sides[i])) return false;
    }
    return true;
  }

  // Without order, each of the gold's items against one of the answer's.
  bool collection(const Node& gold, const Node& answer, const NodePtr& whole) {
    const bool statement_list = gold.kind == NodeKind::list && !is_scalar(*gold.items[0]) &&
                                gold.items[0]->kind != NodeKind::interval &&
                                gold.items[0]->kind != NodeKind::tuple;
    if ((statement_list || gold.name == "or") && spans(gold, answer, true)) return true;
    if (answer.kind != NodeKind::list && answer.kind != NodeKind::set) {
      if (is_open_pair(answer) || answer.kind == NodeKind::tuple) {
        return lists_coordinates(answer, gold);
      }
      if (const NodePtr equations = as_equations(answer)) return same_items(gold, *equations);
      if (answer.kind == NodeKind::relation && is_name(*answer.items[0]) && answer.name == "=" &&
          (answer.items[1]->kind == NodeKind::set)) {
        return same_items(gold, *answer.items[1]);  // S = {1, 2}
      }
      if (answer.kind == NodeKind::element_of) return collection(gold, *answer.items[1], whole);
      if (gold.kind == NodeKind::set && answer.kind == NodeKind::unite) {
        return spans(gold, answer, false);
      }
      // {5} is 5, but neither {{5}} nor {(1, 2)} is its element.
      return gold.kind == NodeKind::set && gold.items.size() == 1 && !inside_ &&
             is_scalar(*gold.items[0]) && same(gold.items[0], whole);
    }
    return same_items(gold, answer);
  }

  bool same_items(const Node& gold, const Node& answer) {
    const bool outer = std::exchange(inside_, true);
    const bool result = items_match(gold, answer);
    inside_ = outer;
    return result;
  }

  bool items_match(const Node& gold, const Node& answer) {
    // x < 1 or x > 5, but x > 1 and x < 5.
    const bool joined =
        (gold.name == "or" && answer.name == "and") || (gold.name == "and" && answer.name == "or");
    if (joined && (holds_inequality(gold) || holds_inequality(answer))) return false;
    if (is_system(gold) && !holds_equation(answer)) {  // x = 1, y = 2 is 1, 2 but not 2, 1
      return answer.kind == NodeKind::list && answer.name != "or" && items_in_order(gold, answer);
    }
    std::vector<NodePtr> left = gold.items, right = answer.items;
    if (!holds_lists(left)) right = without_lists(right);
    if (gold.kind == NodeKind::set || answer.kind == NodeKind::set) {
      left = distinct(left);
      right = distinct(right);
    }
    // What is listed twice is listed; only a gold that does so itself counts how often.
    if (right.size() > left.size() && distinct(left).size() == left.size()) right = distinct(right);
    if (left.size() != right.size()) return false;
    for (const NodePtr& item : left) {
      const auto found = std::find_if(right.begin(), right.end(), [&](const NodePtr& candidate) {
        return same(item, candidate);
      });
      if (found == right.end()) return false;
      right.erase(found);
    }
    return true;
  }

  std::vector<NodePtr> distinct(const std::vector<NodePtr>& items) {
    std::vector<NodePtr> kept;
    for (const NodePtr& item : items) {
      const bool known = std::any_of(kept.begin(), kept.end(),
                                     [&](const NodePtr& other) { return same(other, item); });
      if (!known) kept.push_back(item);
    }
    return kept;
  }

  bool items_in_order(const Node& gold, const Node& answer) {
    if (gold.items.size() != answer.items.size()) return false;
    for (size_t i = 0; i < gold.items.size(); ++i) {
      if (!same(gold.items[i], answer.items[i])) return false;
    }
    return true;
  }

  // "x = 1, y = 2" for (1, 2): one equation a coordinate, the names in alphabetical order.
  bool lists_coordinates(const Node& gold, const Node& answer) {
    if (answer.kind != NodeKind::list || answer.items.size() != gold.items.size()) return false;
    std::string last;
    for (size_t i = 0; i < gold.items.size(); ++i) {
      const Node& item = *answer.items[i];
      const bool named = item.kind == NodeKind::relation && item.name == "=" &&
                         item.items[0]->kind == NodeKind::symbol && item.items[0]->name > last;
      if (!named || !same(gold.items[i], item.items[1])) return false;
      last = item.items[0]->name;
    }
    return true;
  }

  bool tuple(const Node& gold, const Node& answer) {
    const Node& a = without_name(answer);
    if (lists_coordinates(gold, answer)) return true;
    const auto bracket = [](const Node& n) { return n.name == "<" ? std::string("(") : n.name; };
    if (is_vector(a)) return bracket(gold) == "(" && items_in_order(gold, a);
    if (a.kind == NodeKind::interval) {  // (1, 2) may be the vector <1, 2>
      return gold.name == "<" && is_open_pair(a) && items_in_order(gold, a);
    }
    return a.kind == NodeKind::tuple && bracket(gold) == bracket(a) && items_in_order(gold, a);
  }

  bool matrix(const Node& gold, const Node& answer) {
    if (answer.kind == NodeKind::matrix) {
      return gold.count == answer.count && items_in_order(gold, answer);
    }
    const bool tuple = answer.kind == NodeKind::tuple && answer.name != "[";
    return is_vector(gold) && (is_open_pair(answer) || tuple) && items_in_order(gold, answer);
  }

  bool interval(const Node& gold, const Node& answer) {
    const Node& a = without_name(answer);
    if (is_vector(a)) return is_open_pair(gold) && items_in_order(gold, a);
    if (is_open_pair(gold) && lists_coordinates(gold, answer)) return true;
    if (a.kind == NodeKind::interval) {
      return gold.left_closed == a.left_closed && gold.right_closed == a.right_closed &&
             items_in_order(gold, a);
    }
    if (a.kind == NodeKind::tuple && a.name == "<") {
      return is_open_pair(gold) && items_in_order(gold, a);
    }
    return spans(gold, a, options_.inequality_for_interval);
  }

  bool ratio(const Node& gold, const Node& answer) {
    const Node& a = without_name(answer);
    const bool one_value = gold.items.size() == 2 && is_scalar(a) && symbols_of(gold).empty();
    if (one_value) return same_value(*make_node(NodeKind::divide, gold.items), a, budget_);
    if (a.kind != NodeKind::ratio || a.items.size() != gold.items.size()) return false;
    // a : b = c : d if a d = b c; clock times are ratios that must agree part by part.
    for (size_t i = 1; i < gold.items.size(); ++i) {
      const NodePtr left = make_node(NodeKind::multiply, {gold.items[0], a.items[i]});
      const NodePtr right = make_node(NodeKind::multiply, {gold.items[i], a.items[0]});
      if (!same_value(*left, *right, budget_)) return false;
    }
    return true;
  }

  bool relation(const Node& gold, const NodePtr& answer) {
    if (gold.name == "=" || gold.name == "~") return equation(gold, answer);
    if (answer->kind == NodeKind::relation && answer->name != "=" && answer->name != "~") {
      if (same_inequality(gold, *answer)) return true;
    }
    return spans(gold, *answer, true);
  }

  bool equation(const Node& gold, const NodePtr& answer) {
    const bool named = is_name(*gold.items[0]);
    if (answer->kind == NodeKind::relation) {
      if (answer->name != "=" && answer->name != "~") return false;
      const bool same_name = named && is_name(*answer->items[0]) &&
                             same_value(*gold.items[0], *answer->items[0], budget_);
      if (same_name && same(gold.items[1], answer->items[1])) return true;
      if (same_under_other_name(gold, *answer)) return true;
      const bool scalars = is_scalar(*gold.items[0]) && is_scalar(*gold.items[1]) &&
                           is_scalar(*answer->items[0]) && is_scalar(*answer->items[1]);
      return scalars && same_up_to_factor(gold, *answer, 0);
    }
    if (answer->kind == NodeKind::list && solves(gold, *answer)) return true;
    const bool value_alone = is_quantity_name(*gold.items[0]) && symbols_of(*gold.items[1]).empty();
    return (named || value_alone) && answer->kind != NodeKind::chain && same(gold.items[1], answer);
  }

  // x_1 = 2 among solutions for x = 2, f(n) = n + 1 for f(x) = x + 1, y = 2x for f(x) = 2x.
  bool same_under_other_name(const Node& gold, const Node& answer) {
    const Node& left = *gold.items[0];
    const Node& other = *answer.items[0];
    if ((inside_ && names_one_unknown(left, other)) || name_one_curve(left, other)) {
      return same(gold.items[1], answer.items[1]);
    }
    const NodePtr renamed = with_argument_of(left, answer);
    return renamed != nullptr && same(gold.items[1], renamed);
  }

  // x = 2 or x = -2 for x^2 = 4: the factors x - 2 and x + 2 make the equation.
  bool solves(const Node& gold, const Node& answer) {
    const std::vector<std::string> names = symbols_of(gold);
    if (names.size() != 1) return false;
    const NodePtr product = with_roots_of(answer, names[0]);
    const bool scalars = is_scalar(*gold.items[0]) && is_scalar(*gold.items[1]);
    return product != nullptr && scalars &&
           proportional(*difference_of(gold), *product, 0, budget_);
  }

  bool same_up_to_factor(const Node& gold, const Node& answer, int sign) {
    if (is_solved(gold) && !is_solved(answer)) return false;  // it may repeat the question
    // Numbers are always multiples of each other: 2 = 3 is not 5 = 7.
    if (symbols_of(gold).empty() || symbols_of(answer).empty()) {
      return gold.name == answer.name && same_value(*gold.items[0], *answer.items[0], budget_) &&
             same_value(*gold.items[1], *answer.items[1], budget_);
    }
    return proportional(*with_function_values(difference_of(gold)),
                        *with_function_values(difference_of(answer)), sign, budget_);
  }

  bool same_inequality(const Node& gold, const Node& answer) {
    for (const Node* side : {&gold, &answer}) {
      if (!is_scalar(*side->items[0]) || !is_scalar(*side->items[1])) return false;
    }
    if (gold.name == "!=" || answer.name == "!=") {
      return gold.name == answer.name && same_up_to_factor(gold, answer, 0);
    }
    if (gold.name.size() != answer.name.size()) return false;
    const int sign = gold.name[0] == answer.name[0] ? 1 : -1;
    return same_up_to_factor(gold, answer, sign);
  }

  bool chain(const Node& gold, const Node& answer) {
    if (answer.kind == NodeKind::chain && answer.items.size() == gold.items.size()) {
      const size_t n = gold.items.size();
      for (const bool turned : {false, true}) {
        bool all = true;
        for (size_t i = 0; i < n && all; ++i) {
          all = relation(*gold.items[i], answer.items[turned ? n - 1 - i : i]);
        }
        if (all) return true;
      }
    }
    return spans(gold, answer, true);
  }

  // Both as sets of reals. Statements may stand for sets only where `statements` says so.
  bool spans(const Node& gold, const Node& answer, bool statements) {
    const bool statement = answer.kind == NodeKind::relation || answer.kind == NodeKind::chain ||
                           answer.kind == NodeKind::list;
    const bool union_of_listed = gold.kind == NodeKind::unite && lists_intervals(answer);
    const bool allowed = statements || options_.inequality_for_interval || union_of_listed;
    if (statement && !allowed) return false;
    if (is_statement(answer)) {
      const bool question = is_statement(gold) && !is_solved(gold);
      if (is_statement(gold) && !about_the_same(gold, answer)) return false;
      if (!question && !is_solved(answer)) return false;  // it may repeat the question
    }
    if (is_scalar(answer)) return false;
    const auto g = spans_of(gold, budget_);
    if (!g) return structurally(gold, answer);
    const auto a = spans_of(answer, budget_);
    return a && same_spans(*g, *a, budget_);
  }

  // Sets with symbols in them: the same operation on the same parts.
  bool structurally(const Node& gold, const Node& answer) {
    if (gold.kind != answer.kind) return false;
    if (gold.kind == NodeKind::set_minus) return items_in_order(gold, answer);
    return (gold.kind == NodeKind::unite || gold.kind == NodeKind::intersect) &&
           same_items(gold, answer);
  }

  const CompareOptions& options_;
  MathBudget& budget_;
  bool inside_ = false;  // a set or list
};

}  // namespace

bool same_answer(const Node& gold, const Node& answer, const CompareOptions& options,
                 MathBudget& budget) {
  return Comparison(options, budget)
      .same(std::make_shared<Node>(gold), std::make_shared<Node>(answer));
}

}  // namespace temper
