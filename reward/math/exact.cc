#include "reward/math/exact.h"

#include <cstdlib>

namespace temper {
namespace {

using Value = std::optional<mpq_class>;

bool is_integer(const mpq_class& x) {
  return x.get_den() == 1;
}

mpz_class floor_of(const mpq_class& x) {
  mpz_class result;
  mpz_fdiv_q(result.get_mpz_t(), x.get_num_mpz_t(), x.get_den_mpz_t());
  return result;
}

// base^exponent if it fits into kMaxExactBits.
Value bounded_power(const mpq_class& base, const mpz_class& exponent) {
  if (base == 0) return exponent > 0 ? Value(0) : std::nullopt;
  if (base == 1) return base;
  if (!exponent.fits_slong_p()) return std::nullopt;
  const long n = exponent.get_si();
  const unsigned long size = static_cast<unsigned long>(std::labs(n));
  if (base == -1) return mpq_class(size % 2 == 0 ? 1 : -1);
  if (size > kMaxExactBits || bits_of(base) * size > kMaxExactBits) return std::nullopt;
  return integer_power(base, n);
}

Value power(const mpq_class& base, const mpq_class& exponent) {
  if (is_integer(exponent)) return bounded_power(base, exponent.get_num());
  const mpz_class& degree = exponent.get_den();
  if (degree > 64) return std::nullopt;
  const Value root = exact_root(base, degree.get_ui());
  return root ? bounded_power(*root, exponent.get_num()) : std::nullopt;
}

Value factorial(const mpq_class& x) {
  if (!is_integer(x) || x < 0 || x > 5000) return std::nullopt;
  mpz_class result;
  mpz_fac_ui(result.get_mpz_t(), x.get_num().get_ui());
  return mpq_class(result);
}

Value binomial(const mpq_class& n, const mpq_class& k) {
  if (!is_integer(n) || !is_integer(k) || n < 0 || n > 100000) return std::nullopt;
  if (k < 0 || k > n) return mpq_class(0);
  mpz_class small = k.get_num(), other = n.get_num() - k.get_num();
  if (other < small) small = other;
  if (small > 2000) return std::nullopt;
  mpz_class result;
  mpz_bin_ui(result.get_mpz_t(), n.get_num_mpz_t(), small.get_ui());
  return mpq_class(result);
}

Value call(const std::string& name, const std::vector<mpq_class>& x) {
  mpq_class result = x.front();
  for (size_t i = 1; i < x.size(); ++i) {
    if (name == "min") {
      result = std::min(result, x[i]);
    } else if (name == "max") {
      result = std::max(result, x[i]);
    } else if ((name == "gcd" || name == "lcm") && is_integer(result) && is_integer(x[i])) {
      result = name == "gcd" ? mpq_class(gcd(result.get_num(), x[i].get_num()))
                             : mpq_class(lcm(result.get_num(), x[i].get_num()));
    } else {
      return std::nullopt;
    }
  }
  if (x.size() > 1) return result;
  const bool zero = x[0] == 0;
  if (zero && (name == "sin" || name == "tan" || name == "arctan" || name == "arcsin")) return 0;
  if (zero && (name == "cos" || name == "exp")) return 1;
  if (x[0] == 1 && (name == "ln" || name == "log" || name == "lg")) return 0;
  return std::nullopt;
}

Value combined(const Node& node, const std::vector<mpq_class>& x) {
  switch (node.kind) {
    case NodeKind::add:
      return mpq_class(x[0] + x[1]);
    case NodeKind::multiply:
      return mpq_class(x[0] * x[1]);
    case NodeKind::divide:
      return x[1] == 0 ? Value() : mpq_class(x[0] / x[1]);
    case NodeKind::negate:
      return mpq_class(-x[0]);
    case NodeKind::power:
      return power(x[0], x[1]);
    case NodeKind::root:
      return exact_root(x[0], static_cast<unsigned long>(node.count));
    case NodeKind::factorial:
      return factorial(x[0]);
    case NodeKind::absolute:
      return mpq_class(abs(x[0]));
    case NodeKind::floor:
      return mpq_class(floor_of(x[0]));
    case NodeKind::ceiling:
      return mpq_class(-floor_of(-x[0]));
    case NodeKind::binomial:
      return binomial(x[0], x[1]);
    case NodeKind::percent:
      return mpq_class(x[0] / 100);
    case NodeKind::function:
      return call(node.name, x);
    default:
      return std::nullopt;
  }
}

}  // namespace

size_t bits_of(const mpq_class& x) {
  return mpz_sizeinbase(x.get_num_mpz_t(), 2) + mpz_sizeinbase(x.get_den_mpz_t(), 2);
}

mpq_class integer_power(const mpq_class& base, long n) {
  const unsigned long size = static_cast<unsigned long>(std::labs(n));
  mpz_class above, below;
  mpz_pow_ui(above.get_mpz_t(), base.get_num_mpz_t(), size);
  mpz_pow_ui(below.get_mpz_t(), base.get_den_mpz_t(), size);
  mpq_class result = n < 0 ? mpq_class(below, above) : mpq_class(above, below);
  result.canonicalize();
  return result;
}

std::optional<mpq_class> exact_root(const mpq_class& x, unsigned long k) {
  if (k == 0 || (x < 0 && k % 2 == 0)) return std::nullopt;
  mpz_class above, below;
  const bool exact_above = mpz_root(above.get_mpz_t(), x.get_num_mpz_t(), k) != 0;
  const bool exact_below = mpz_root(below.get_mpz_t(), x.get_den_mpz_t(), k) != 0;
  if (!exact_above || !exact_below) return std::nullopt;
  return mpq_class(above, below);
}

std::optional<mpq_class> exact_value(const Node& node, MathBudget& budget) {
  if (node.kind == NodeKind::number) return node.value;
  if (node.items.empty()) return std::nullopt;
  std::vector<mpq_class> values;
  int64_t bits = 0;
  for (const NodePtr& item : node.items) {
    auto value = exact_value(*item, budget);
    if (!value) return std::nullopt;
    bits += static_cast<int64_t>(bits_of(*value));
    values.push_back(std::move(*value));
  }
  if (static_cast<size_t>(bits) > 2 * kMaxExactBits || !budget.spend(1 + bits / 256)) {
    return std::nullopt;
  }
  Value result = combined(node, values);
  if (!result || !budget.spend(static_cast<int64_t>(bits_of(*result) / 32))) return std::nullopt;
  return result;
}

}  // namespace temper
