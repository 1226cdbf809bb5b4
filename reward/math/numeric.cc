#include "reward/math/numeric.h"

#include <cmath>
#include <limits>

#include "reward/math/exact.h"
#include "reward/math/functions.h"

namespace temper {
namespace {

constexpr slong kMaxExponent = 10'000;

class Evaluator {
 public:
  Evaluator(const EvaluationPoint& point, MathBudget& budget) : point_(point), budget_(budget) {}

  bool run(const Node& node, Ball& out) {
    if (!budget_.spend(1 + point_.precision / 128)) return false;
    if (!leaf_or_inner(node, out)) return false;
    return acb_is_finite(out.get()) != 0;
  }

 private:
  bool leaf_or_inner(const Node& node, Ball& out) {
    switch (node.kind) {
      case NodeKind::number:
        set_rational(node.value, out);
        return true;
      case NodeKind::symbol: {
        const auto found = point_.symbols.find(node.name);
        if (found == point_.symbols.end()) return false;
        acb_set_d(out.get(), found->second);
        return true;
      }
      case NodeKind::constant:
        return constant(node.name, out);
      case NodeKind::power:
        return power(node, out);
      case NodeKind::function:
        return function(node, out);
      default:
        return inner(node, out);
    }
  }

  void set_rational(const mpq_class& value, Ball& out) {
    fmpq_t q;
    fmpq_init(q);
    fmpq_set_mpq(q, value.get_mpq_t());
    acb_set_fmpq(out.get(), q, point_.precision);
    fmpq_clear(q);
  }

  bool constant(const std::string& name, Ball& out) {
    if (name == "pi") {
      acb_const_pi(out.get(), point_.precision);
    } else if (name == "e") {
      arb_const_e(out.real(), point_.precision);
    } else if (name == "i" && !point_.real_only) {
      acb_onei(out.get());
    } else {
      return false;
    }
    return true;
  }

  bool inner(const Node& node, Ball& out) {
    if (node.items.empty() || node.items.size() > 2) return false;
    const slong p = point_.precision;
    Ball x, y;
    if (!run(*node.items[0], x)) return false;
    if (node.items.size() == 2 && !run(*node.items[1], y)) return false;
    switch (node.kind) {
      case NodeKind::add:
        acb_add(out.get(), x.get(), y.get(), p);
        return true;
      case NodeKind::multiply:
        acb_mul(out.get(), x.get(), y.get(), p);
        return true;
      case NodeKind::divide:
        if (acb_contains_zero(y.get()) != 0) return false;
        acb_div(out.get(), x.get(), y.get(), p);
        return true;
      case NodeKind::negate:
        acb_neg(out.get(), x.get());
        return true;
      case NodeKind::percent:
        acb_div_ui(out.get(), x.get(), 100, p);
        return true;
      case NodeKind::root:
        return root(x, static_cast<ulong>(node.count), out);
      case NodeKind::absolute:
        acb_abs(out.real(), x.get(), p);
        return true;
      case NodeKind::floor:
      case NodeKind::ceiling:
        return rounded(x, node.kind == NodeKind::floor, out);
      case NodeKind::degree:
        acb_const_pi(out.get(), p);
        acb_mul(out.get(), out.get(), x.get(), p);
        acb_div_ui(out.get(), out.get(), 180, p);
        return true;
      case NodeKind::factorial:
        acb_add_ui(x.get(), x.get(), 1, p);
        return gamma(x, out);
      case NodeKind::binomial:
        return binomial(x, y, out);
      default:
        return false;
    }
  }

  bool root(Ball& x, ulong degree, Ball& out) {
    const slong p = point_.precision;
    if (x.is_real() && arb_is_negative(x.real()) != 0) {
      if (degree % 2 == 1) {
        acb_neg(x.get(), x.get());
        acb_root_ui(out.get(), x.get(), degree, p);
        acb_neg(out.get(), out.get());
        return true;
      }
      if (point_.real_only) return false;
    }
    acb_root_ui(out.get(), x.get(), degree, p);
    return true;
  }

  bool rounded(const Ball& x, bool down, Ball& out) {
    if (!x.is_real()) return false;
    if (down) {
      arb_floor(out.real(), x.real(), point_.precision);
    } else {
      arb_ceil(out.real(), x.real(), point_.precision);
    }
    return arb_is_exact(out.real()) != 0;
  }

  // The bound keeps Arb's work small.
  bool gamma(const Ball& x, Ball& out) {
    arf_t size;
    arf_init(size);
    acb_get_abs_ubound_arf(size, x.get(), 32);
    const bool small = arf_cmp_d(size, 1e5) < 0;
    arf_clear(size);
    if (!small || !budget_.spend(100)) return false;
    acb_gamma(out.get(), x.get(), point_.precision);
    return true;
  }

  bool binomial(Ball& n, Ball& k, Ball& out) {
    const slong p = point_.precision;
    Ball rest, above, below, other;
    acb_sub(rest.get(), n.get(), k.get(), p);
    for (Ball* x : {&n, &k, &rest}) acb_add_ui(x->get(), x->get(), 1, p);
    if (!gamma(n, above) || !gamma(k, below) || !gamma(rest, other)) return false;
    acb_mul(below.get(), below.get(), other.get(), p);
    if (acb_contains_zero(below.get()) != 0) return false;
    acb_div(out.get(), above.get(), below.get(), p);
    return true;
  }

  bool power(const Node& node, Ball& out) {
    Ball base;
    if (!run(*node.items[0], base)) return false;
    const auto exponent = exact_value(*node.items[1], budget_);
    if (exponent && abs(*exponent) > kMaxExponent) return false;
    if (exponent && exponent->get_den() == 1) {
      const slong n = exponent->get_num().get_si();
      if (n < 0 && acb_contains_zero(base.get()) != 0) return false;
      acb_pow_si(out.get(), base.get(), n, point_.precision);
      return true;
    }
    return exponent ? rational_power(base, *exponent, out) : general_power(node, base, out);
  }

  bool rational_power(Ball& base, const mpq_class& exponent, Ball& out) {
    const bool negative = base.is_real() && arb_is_negative(base.real()) != 0;
    const bool odd = mpz_odd_p(exponent.get_den_mpz_t()) != 0;
    if (negative && odd) acb_neg(base.get(), base.get());
    if (negative && !odd && point_.real_only) return false;
    if (acb_contains_zero(base.get()) != 0) {
      if (acb_is_zero(base.get()) == 0 || exponent < 0) return false;
      acb_zero(out.get());
      return true;
    }
    Ball power;
    set_rational(exponent, power);
    acb_pow(out.get(), base.get(), power.get(), point_.precision);
    const bool flips = negative && odd && mpz_odd_p(exponent.get_num_mpz_t()) != 0;
    if (flips) acb_neg(out.get(), out.get());
    return true;
  }

  bool general_power(const Node& node, const Ball& base, Ball& out) {
    Ball exponent;
    if (!run(*node.items[1], exponent)) return false;
    arf_t size;
    arf_init(size);
    acb_get_abs_ubound_arf(size, exponent.get(), 32);
    const bool small = arf_cmp_si(size, kMaxExponent) < 0;
    arf_clear(size);
    if (!small || acb_contains_zero(base.get()) != 0) return false;
    const bool positive = base.is_real() && arb_is_positive(base.real()) != 0;
    if (point_.real_only && !positive) return false;
    acb_pow(out.get(), base.get(), exponent.get(), point_.precision);
    return true;
  }

  bool function(const Node& node, Ball& out) {
    if (node.items.size() > 2) return false;
    Ball x, y;
    if (!run(*node.items[0], x)) return false;
    const bool two = node.items.size() == 2;
    if (two && !run(*node.items[1], y)) return false;
    if (!budget_.spend(2 + point_.precision / 64)) return false;
    return call_function(node.name, x, two ? &y : nullptr, point_, out);
  }

  const EvaluationPoint& point_;
  MathBudget& budget_;
};

}  // namespace

bool evaluate(const Node& node, const EvaluationPoint& point, MathBudget& budget, Ball& result) {
  return Evaluator(point, budget).run(node, result);
}

bool approximate(const Node& node, MathBudget& budget, double& value) {
  if (node.kind == NodeKind::infinity) {
    value = std::numeric_limits<double>::infinity();
    return true;
  }
  if (node.kind == NodeKind::negate) {
    if (!approximate(*node.items[0], budget, value)) return false;
    value = -value;
    return true;
  }
  Ball ball;
  if (!evaluate(node, {{}, 64, false}, budget, ball) || !ball.is_real()) return false;
  value = arf_get_d(arb_midref(ball.real()), ARF_RND_NEAR);
  return true;
}

}  // namespace temper
