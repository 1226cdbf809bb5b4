#include "reward/math/scalar.h"

#include <algorithm>
#include <map>
#include <optional>

#include "reward/math/decimals.h"
#include "reward/math/exact.h"
#include "reward/math/numeric.h"
#include "reward/math/proof.h"

namespace temper {
namespace {

constexpr slong kFastBits = 128, kSureBits = 3072;
constexpr int kPoints = 10;

enum class Agreement { equal, different, undefined };

// -1 or 1 for an infinity with its sign, 0 for anything else.
int sign_of_infinity(const Node& node) {
  if (node.kind == NodeKind::infinity) return 1;
  if (node.kind == NodeKind::negate) return -sign_of_infinity(*node.items[0]);
  return 0;
}

// Whether the ball's radius is small beside the values compared.
bool is_tight(const Ball& difference, const Ball& a, const Ball& b, slong precision) {
  mag_t radius, scale, other;
  mag_init(radius);
  mag_init(scale);
  mag_init(other);
  mag_hypot(radius, arb_radref(difference.real()), arb_radref(acb_imagref(difference.get())));
  acb_get_mag(scale, a.get());
  acb_get_mag(other, b.get());
  mag_max(scale, scale, other);
  mag_mul_2exp_si(scale, scale, -precision / 3);
  // Two zeros have no scale of their own.
  mag_set_ui_2exp_si(other, 1, -2 * precision / 3);
  mag_max(scale, scale, other);
  const bool tight = mag_cmp(radius, scale) <= 0;
  mag_clear(radius);
  mag_clear(scale);
  mag_clear(other);
  return tight;
}

Agreement agree_at(const Node& gold, const Node& answer, const EvaluationPoint& point,
                   MathBudget& budget) {
  Ball a, b, difference;
  if (!evaluate(gold, point, budget, a) || !evaluate(answer, point, budget, b)) {
    return Agreement::undefined;
  }
  acb_sub(difference.get(), a.get(), b.get(), point.precision);
  if (acb_contains_zero(difference.get()) == 0) return Agreement::different;
  return is_tight(difference, a, b, point.precision) ? Agreement::equal : Agreement::undefined;
}

// The bits before the point of what the node comes to.
slong magnitude(const Node& node, MathBudget& budget) {
  Ball value;
  if (!evaluate(node, {{}, kFastBits, false}, budget, value)) return 0;
  mag_t size;
  mag_init(size);
  acb_get_mag(size, value.get());
  const bool large = mag_cmp_2exp_si(size, 0) > 0 && mag_cmp_2exp_si(size, kSureBits * 6) < 0;
  const slong bits = large ? fmpz_get_si(MAG_EXPREF(size)) : 0;
  mag_clear(size);
  return bits;
}

// Equal only if that is proved; where even many digits do not tell them apart, that is noted.
bool same_constant(const Node& gold, const Node& answer, MathBudget& budget) {
  if (agree_at(gold, answer, {{}, kFastBits, false}, budget) == Agreement::different) return false;
  if (proves_equal(gold, answer, {}, budget)) return true;
  const slong bits = kSureBits + magnitude(gold, budget);
  const Agreement closer = agree_at(gold, answer, {{}, bits, false}, budget);
  if (closer != Agreement::different) budget.leave_undecided();
  return false;
}

bool within_decimal(const Node& gold, const Decimal& decimal, const Node& answer,
                    MathBudget& budget) {
  const mpq_class tolerance = tolerance_of(decimal);
  if (const auto value = exact_value(answer, budget)) {
    const auto rounded = decimal_of(answer);
    const bool coarser = rounded && rounded->unit > decimal.unit;
    if (coarser || tolerance == 0) return *value == decimal.value;
    return abs(mpq_class(*value - decimal.value)) <= tolerance;
  }
  if (tolerance == 0) return same_constant(gold, answer, budget);
  Ball value, low, high;
  if (!evaluate(answer, {{}, kFastBits, false}, budget, value) || !value.is_real()) return false;
  evaluate(*make_number(decimal.value - tolerance), {{}, kFastBits, false}, budget, low);
  evaluate(*make_number(decimal.value + tolerance), {{}, kFastBits, false}, budget, high);
  return arb_ge(value.real(), low.real()) != 0 && arb_le(value.real(), high.real()) != 0;
}

// A fixed sequence of numbers in [0, 1), so that every run tries the same points.
class PointSource {
 public:
  double next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state_ >> 40) * 0x1p-24;
  }

 private:
  uint64_t state_ = 0x9E3779B97F4A7C15u;
};

// Small and positive at first, then large, then negative, then of mixed signs.
double coordinate(int index, PointSource& source) {
  const double u = source.next();
  if (index < 4) return 0.3 + 2.4 * u;
  if (index < 6) return 3.0 + 37.0 * u;
  if (index < 8) return -0.3 - 2.4 * u;
  return (source.next() < 0.5 ? -1.0 : 1.0) * (0.1 + 12.0 * u);
}

// Where the points lie: as `coordinate` says, or all between -1 and 1, where arcsin x is real.
enum class Region { wide, unit };

std::vector<EvaluationPoint> points_for(const Node& a, const Node& b, bool real_only,
                                        Region region = Region::wide) {
  std::vector<std::string> names = symbols_of(a);
  for (std::string& name : symbols_of(b)) names.push_back(std::move(name));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  PointSource source;
  std::vector<EvaluationPoint> points;
  for (int i = 0; i < kPoints; ++i) {
    EvaluationPoint point{{}, kFastBits, real_only};
    for (const std::string& name : names) {
      point.symbols[name] = region == Region::wide ? coordinate(i, source) : 2 * source.next() - 1;
    }
    points.push_back(std::move(point));
  }
  return points;
}

// The constants of an expression, a few of them: where its pieces may meet.
void collect_constants(const Node& node, std::vector<mpq_class>& found) {
  constexpr size_t kMax = 6;
  if (node.kind == NodeKind::number && node.value != 0 && found.size() < kMax &&
      std::find(found.begin(), found.end(), node.value) == found.end()) {
    found.push_back(node.value);
  }
  for (const NodePtr& item : node.items) collect_constants(*item, found);
}

// Values around every constant, far beyond the largest, and near 0.
std::vector<mpq_class> telling_values(const Node& a, const Node& b) {
  std::vector<mpq_class> constants, values = {0, mpq_class(1, 1000), mpq_class(-1, 1000)};
  collect_constants(a, constants);
  collect_constants(b, constants);
  mpq_class largest = 10;
  for (const mpq_class& c : constants) {
    for (const mpq_class& v : {c, mpq_class(c + 1), mpq_class(c - 1), mpq_class(-c),
                               mpq_class(2 * c), mpq_class(c / 2)}) {
      values.push_back(v);
    }
    largest = std::max(largest, mpq_class(abs(c)));
  }
  for (const int scale : {10, 1000}) {
    values.emplace_back(largest * scale + mpq_class(1, 3));
    values.emplace_back(-largest * scale - mpq_class(1, 3));
  }
  return values;
}

// Points at which functions that agree at the ordinary ones may still differ.
std::vector<RationalPoint> telling_points(const Node& a, const Node& b) {
  std::vector<std::string> names = symbols_of(a);
  for (std::string& name : symbols_of(b)) names.push_back(std::move(name));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::vector<RationalPoint> points;
  if (names.size() > 4) return points;
  for (const mpq_class& value : telling_values(a, b)) {
    for (const std::string& name : names) {
      RationalPoint point;
      for (size_t i = 0; i < names.size(); ++i) {
        point[names[i]] = mpq_class(static_cast<long>(2 * i + 5), 13);
      }
      point[name] = value;
      points.push_back(std::move(point));
    }
  }
  return points;
}

// Each expression's value at the point, if both are rational there.
struct ExactPair {
  NodePtr gold, answer;  // with the point's numbers
  std::optional<mpq_class> left, right;
  bool known() const { return left && right; }
};
ExactPair exact_pair(const Node& gold, const Node& answer, const RationalPoint& point) {
  ExactPair pair;
  MathBudget budget;  // of its own: a point too large to compute is passed over
  pair.gold = substituted(std::make_shared<Node>(gold), point);
  pair.answer = substituted(std::make_shared<Node>(answer), point);
  pair.left = exact_value(*pair.gold, budget);
  if (pair.left) pair.right = exact_value(*pair.answer, budget);
  return pair;
}

// Whether a telling point proves that the functions differ.
bool differ_somewhere(const Node& gold, const Node& answer, bool real_only, MathBudget& budget) {
  for (const RationalPoint& point : telling_points(gold, answer)) {
    if (budget.spent()) return false;
    const ExactPair pair = exact_pair(gold, answer, point);
    if (pair.known()) {
      if (*pair.left != *pair.right) return true;
      continue;
    }
    const EvaluationPoint here{{}, kFastBits, real_only};
    if (agree_at(*pair.gold, *pair.answer, here, budget) == Agreement::different) return true;
  }
  return false;
}

// Whether exact values at telling points prove that no factor leads from one to the other.
bool no_factor(const Node& gold, const Node& answer) {
  std::optional<mpq_class> factor;
  for (const RationalPoint& point : telling_points(gold, answer)) {
    const ExactPair pair = exact_pair(gold, answer, point);
    if (!pair.known()) continue;
    if ((*pair.left == 0) != (*pair.right == 0)) return true;
    if (*pair.left == 0) continue;
    const mpq_class here = *pair.right / *pair.left;
    if (factor && *factor != here) return true;
    factor = here;
  }
  return false;
}

bool has_imaginary_unit(const Node& node) {
  if (node.kind == NodeKind::constant && node.name == "i") return true;
  return std::any_of(node.items.begin(), node.items.end(),
                     [](const NodePtr& item) { return has_imaginary_unit(*item); });
}

// The first point, one with other signs, and the last: where a proof is asked for.
template <typename Prove>
bool proved_at_some(const std::vector<EvaluationPoint>& agreeing, const Prove& prove) {
  const size_t last = agreeing.size() - 1;
  for (const size_t i : {size_t{0}, last / 2 + 1, last}) {
    if (i <= last && !prove(agreeing[i].symbols)) return false;
  }
  return true;
}

// Agreement at all points, and a proof around some; with `real_only`, points where a side is
// undefined are passed over, so that sqrt(1/n) is 1/sqrt(n); nullopt if too few points are left to
// say.
std::optional<bool> same_at_points(const Node& gold, const Node& answer, bool real_only,
                                   MathBudget& budget, Region region = Region::wide) {
  std::vector<EvaluationPoint> agreeing;
  for (EvaluationPoint& point : points_for(gold, answer, real_only, region)) {
    Agreement here = agree_at(gold, answer, point, budget);
    if (here == Agreement::undefined) {
      point.precision = 4 * kFastBits;
      here = agree_at(gold, answer, point, budget);
    }
    if (here == Agreement::different) return false;
    if (here == Agreement::equal) agreeing.push_back(std::move(point));
  }
  if (agreeing.size() < 3) return std::nullopt;
  const bool proved = proved_at_some(
      agreeing, [&](const auto& symbols) { return proves_equal(gold, answer, symbols, budget); });
  if (!proved) budget.leave_undecided();
  return proved;
}

bool same_function(const Node& gold, const Node& answer, MathBudget& budget) {
  if (!has_imaginary_unit(gold) && !has_imaginary_unit(answer)) {
    for (const Region region : {Region::wide, Region::unit}) {
      if (const auto same = same_at_points(gold, answer, true, budget, region)) {
        return *same && !differ_somewhere(gold, answer, true, budget);
      }
    }
  }
  return same_at_points(gold, answer, false, budget).value_or(false) &&
         !differ_somewhere(gold, answer, false, budget);
}

}  // namespace

namespace {

bool same_as_read(const Node& gold, const Node& answer, MathBudget& budget) {
  const int gold_infinity = sign_of_infinity(gold);
  if (gold_infinity != 0 || sign_of_infinity(answer) != 0) {
    return gold_infinity == sign_of_infinity(answer);
  }
  const bool constant = symbols_of(gold).empty() && symbols_of(answer).empty();
  if (!constant) return same_function(gold, answer, budget);
  if (const auto decimal = decimal_of(gold)) return within_decimal(gold, *decimal, answer, budget);
  const auto a = exact_value(gold, budget);
  const auto b = exact_value(answer, budget);
  if (a && b) return *a == *b;
  return same_constant(gold, answer, budget);
}

bool has_bare_log(const Node& node) {
  if (node.kind == NodeKind::function && node.name == "log" && node.items.size() == 1) return true;
  return std::any_of(node.items.begin(), node.items.end(),
                     [](const NodePtr& item) { return has_bare_log(*item); });
}

// With base ten for every log without a base.
NodePtr with_common_logs(const NodePtr& node) {
  if (!has_bare_log(*node)) return node;
  auto copy = std::make_shared<Node>(*node);
  for (NodePtr& item : copy->items) item = with_common_logs(item);
  if (copy->kind == NodeKind::function && copy->name == "log" && copy->items.size() == 1) {
    copy->name = "lg";
  }
  return copy;
}

}  // namespace

bool same_value(const Node& gold, const Node& answer, MathBudget& budget) {
  if (same_as_read(gold, answer, budget)) return true;
  if (!has_bare_log(gold) && !has_bare_log(answer)) return false;
  return same_as_read(*with_common_logs(std::make_shared<Node>(gold)),
                      *with_common_logs(std::make_shared<Node>(answer)), budget);
}

bool proportional(const Node& gold, const Node& answer, int sign, MathBudget& budget) {
  const bool real_only = !has_imaginary_unit(gold) && !has_imaginary_unit(answer);
  Ball first_gold, first_answer;
  std::optional<EvaluationPoint> first;  // it only sets the factor
  std::vector<EvaluationPoint> agreeing;
  for (const EvaluationPoint& point : points_for(gold, answer, real_only)) {
    Ball a, b;
    if (!evaluate(gold, point, budget, a) || !evaluate(answer, point, budget, b)) continue;
    if (acb_contains_zero(a.get()) != 0 || acb_contains_zero(b.get()) != 0) {
      if (acb_contains_zero(a.get()) != acb_contains_zero(b.get())) return false;
      continue;
    }
    if (!first) {
      acb_set(first_gold.get(), a.get());
      acb_set(first_answer.get(), b.get());
      Ball factor;
      acb_div(factor.get(), b.get(), a.get(), kFastBits);
      const bool positive = arb_is_positive(factor.real()) != 0;
      if (sign != 0 && (!factor.is_real() || positive != (sign > 0))) return false;
      first = point;
      continue;
    }
    Ball left, right, difference;
    acb_mul(left.get(), a.get(), first_answer.get(), kFastBits);
    acb_mul(right.get(), b.get(), first_gold.get(), kFastBits);
    acb_sub(difference.get(), left.get(), right.get(), kFastBits);
    if (acb_contains_zero(difference.get()) == 0) return false;
    if (!is_tight(difference, left, right, kFastBits)) continue;
    agreeing.push_back(point);
  }
  if (agreeing.size() < 2 || no_factor(gold, answer)) return false;
  // What is proved: answer(x) gold(p) = gold(x) answer(p) around the points, p the first.
  RationalPoint p;
  for (const auto& [name, value] : first->symbols) p[name] = mpq_class(value);
  const NodePtr g = std::make_shared<Node>(gold), a = std::make_shared<Node>(answer);
  const NodePtr left = make_node(NodeKind::multiply, {a, substituted(g, p)});
  const NodePtr right = make_node(NodeKind::multiply, {g, substituted(a, p)});
  const bool proved = proved_at_some(
      agreeing, [&](const auto& symbols) { return proves_equal(*left, *right, symbols, budget); });
  if (!proved) budget.leave_undecided();
  return proved;
}

}  // namespace temper
