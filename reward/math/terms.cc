#include "reward/math/terms.h"

#include <cstdlib>
#include <numeric>
#include <utility>

#include "reward/math/exact.h"

namespace temper {
namespace {

constexpr size_t kMaxTerms = 500;
constexpr size_t kMaxTermBits = 20'000;
constexpr long kMaxRootDegree = 1000;

size_t hash_of(const Term& term) {
  size_t hash = static_cast<size_t>(term.kind);
  const auto mix = [&hash](size_t x) { hash = (hash ^ x) * 0x9E3779B97F4A7C15u; };
  mix(static_cast<size_t>(term.a));
  mix(static_cast<size_t>(term.b));
  mix(static_cast<size_t>(term.n));
  mix(mpz_get_ui(term.value.get_num_mpz_t()));
  mix(mpz_get_ui(term.value.get_den_mpz_t()));
  return hash;
}

bool same_term(const Term& x, const Term& y) {
  return x.kind == y.kind && x.a == y.a && x.b == y.b && x.n == y.n && x.value == y.value;
}

// Takes n-th powers of small primes out of x and gives their product.
mpz_class take_powers(mpz_class& x, long n) {
  mpz_class out = 1;
  for (const unsigned long prime : {2ul, 3ul, 5ul, 7ul, 11ul, 13ul, 17ul, 19ul, 23ul, 29ul, 31ul}) {
    mpz_class whole;
    mpz_ui_pow_ui(whole.get_mpz_t(), prime, static_cast<unsigned long>(n));
    while (mpz_divisible_p(x.get_mpz_t(), whole.get_mpz_t()) != 0) {
      x /= whole;
      out *= prime;
    }
  }
  return out;
}

}  // namespace

TermId TermTable::keep(Term term) {
  if (terms_.size() >= kMaxTerms || bits_of(term.value) > kMaxTermBits) {
    failed_ = true;
    if (!terms_.empty()) return TermId{0};
    term.value = 0;
  }
  const size_t hash = hash_of(term);
  const auto [begin, end] = known_.equal_range(hash);
  for (auto at = begin; at != end; ++at) {
    if (same_term((*this)[at->second], term)) return at->second;
  }
  const auto id = static_cast<TermId>(terms_.size());
  terms_.push_back(std::move(term));
  known_.emplace(hash, id);
  return id;
}

TermId TermTable::rational(const mpq_class& value) {
  return keep({.kind = TermKind::rational, .value = value});
}

TermId TermTable::cosine(const mpq_class& turns) {
  mpz_class whole;
  mpq_class half = turns / 2;
  mpz_fdiv_q(whole.get_mpz_t(), half.get_num_mpz_t(), half.get_den_mpz_t());
  mpq_class x = turns - 2 * whole;  // 0 <= x < 2
  if (x > 1) x = 2 - x;
  if (x * 2 > 1) return scaled(cosine(1 - x), -1);
  if (x == 0) return rational(1);
  if (x * 2 == 1) return rational(0);
  if (x * 3 == 1) return rational(mpq_class(1, 2));
  return keep({.kind = TermKind::cosine, .value = x});
}

TermId TermTable::generator(const Generator& generator) {
  for (size_t i = 0; i < generators_.size(); ++i) {
    const Generator& other = generators_[i];
    if (other.kind == generator.kind && other.a == generator.a && other.b == generator.b &&
        other.symbol == generator.symbol && other.value == generator.value) {
      return keep({.kind = TermKind::generator, .n = static_cast<long>(i)});
    }
  }
  generators_.push_back(generator);
  return keep({.kind = TermKind::generator, .n = static_cast<long>(generators_.size() - 1)});
}

TermTable::Scaled TermTable::split(TermId id) const {
  const Term& term = (*this)[id];
  if (term.kind == TermKind::rational) return {term.value, TermId::none};
  if (term.kind == TermKind::multiply && is_rational(term.a))
    return {(*this)[term.a].value, term.b};
  return {1, id};
}

TermId TermTable::add(TermId a, TermId b) {
  const Scaled x = split(a), y = split(b);
  if (x.rest == y.rest) {
    const mpq_class sum = x.factor + y.factor;
    return x.rest == TermId::none ? rational(sum) : scaled(x.rest, sum);
  }
  if (x.factor == 0) return b;
  if (y.factor == 0) return a;
  return keep({.kind = TermKind::add, .a = std::min(a, b), .b = std::max(a, b)});
}

// Of two terms that carry no rational factor.
TermId TermTable::product(TermId a, TermId b) {
  const Term x = (*this)[a], y = (*this)[b];
  const bool x_power = x.kind == TermKind::power, y_power = y.kind == TermKind::power;
  const TermId x_base = x_power ? x.a : a, y_base = y_power ? y.a : b;
  if (x_base == y_base) return power(x_base, (x_power ? x.n : 1) + (y_power ? y.n : 1));
  return keep({.kind = TermKind::multiply, .a = std::min(a, b), .b = std::max(a, b)});
}

TermId TermTable::multiply(TermId a, TermId b) {
  const Scaled x = split(a), y = split(b);
  const mpq_class factor = x.factor * y.factor;
  if (factor == 0) return rational(0);
  if (x.rest == TermId::none && y.rest == TermId::none) return rational(factor);
  const TermId rest = x.rest == TermId::none   ? y.rest
                      : y.rest == TermId::none ? x.rest
                                               : product(x.rest, y.rest);
  if (factor == 1) return rest;
  const Scaled inner = split(rest);  // a product of roots may be rational
  if (inner.rest == TermId::none) return rational(factor * inner.factor);
  const TermId number = rational(factor * inner.factor);
  return keep({.kind = TermKind::multiply, .a = number, .b = inner.rest});
}

TermId TermTable::power(TermId a, long n) {
  if (n == 0) return rational(1);
  if (n == 1 || failed_) return a;
  const Term term = (*this)[a];
  const auto size = static_cast<size_t>(std::labs(n));
  switch (term.kind) {
    case TermKind::rational: {
      if (term.value == 0 && n > 0) return a;
      if (term.value == 0 || size > kMaxTermBits || bits_of(term.value) * size > kMaxTermBits) {
        return fail(), a;
      }
      return rational(integer_power(term.value, n));
    }
    case TermKind::power:
      return power(term.a, term.n * n);
    case TermKind::multiply:
      return multiply(power(term.a, n), power(term.b, n));
    case TermKind::root: {
      const long whole = n >= 0 ? n / term.n : -((-n + term.n - 1) / term.n);
      const long rest = n - whole * term.n;
      if (whole != 0) return multiply(power(term.a, whole), power(a, rest));
      const long common = std::gcd(rest, term.n);
      if (common > 1) return power(root(term.a, term.n / common), rest / common);
      break;
    }
    default:
      break;
  }
  if (size > 100'000) return fail(), a;
  return keep({.kind = TermKind::power, .a = a, .n = n});
}

TermId TermTable::root_of_rational(const mpq_class& x, long n) {
  if (const auto exact = exact_root(x, static_cast<unsigned long>(n))) return rational(*exact);
  if (bits_of(x) * static_cast<size_t>(n) > kMaxTermBits) return fail(), rational(1);
  // The n-th root of p/q is that of p q^(n-1), over q.
  mpz_class radicand;
  mpz_pow_ui(radicand.get_mpz_t(), x.get_den_mpz_t(), static_cast<unsigned long>(n - 1));
  radicand *= x.get_num();
  mpq_class factor(take_powers(radicand, n), x.get_den());
  factor.canonicalize();
  for (long part = n; part > 1; --part) {  // the fourth root of 9 is the root of 3
    mpz_class whole;
    if (n % part != 0 ||
        mpz_root(whole.get_mpz_t(), radicand.get_mpz_t(), static_cast<unsigned long>(part)) == 0) {
      continue;
    }
    radicand = whole;
    n /= part;
    break;
  }
  if (n == 1) return rational(factor * radicand);
  const TermId number = rational(radicand);
  return scaled(keep({.kind = TermKind::root, .a = number, .n = n}), factor);
}

TermId TermTable::root(TermId a, long n) {
  if (n == 1 || failed_) return a;
  if (n < 1 || n > kMaxRootDegree) return fail(), a;
  const Scaled x = split(a);
  if (x.rest == TermId::none) return x.factor > 0 ? root_of_rational(x.factor, n) : (fail(), a);
  if (x.factor != 1 && x.factor > 0) {
    return multiply(root_of_rational(x.factor, n), root(x.rest, n));
  }
  const Term term = (*this)[a];
  if (term.kind == TermKind::root) return root(term.a, term.n * n);
  return keep({.kind = TermKind::root, .a = a, .n = n});
}

void set_ball(arb_ptr out, const mpq_class& value, slong precision) {
  fmpq_t q;
  fmpq_init(q);
  fmpq_set_mpq(q, value.get_mpq_t());
  arb_set_fmpq(out, q, precision);
  fmpq_clear(q);
}

arb_srcptr TermValues::at(TermId id) {
  const auto index = static_cast<size_t>(id);
  if (states_.size() < terms_.size()) {
    states_.resize(terms_.size(), State::unknown);
    values_.resize(terms_.size());
  }
  if (states_[index] == State::unknown) {
    arb_ptr out = values_[index].real();
    const bool known =
        budget_.spend(1 + precision_ / 256) && compute(terms_[id], out) && arb_is_finite(out) != 0;
    states_[index] = known ? State::known : State::undefined;
  }
  return states_[index] == State::known ? values_[index].real() : nullptr;
}

bool TermValues::compute(const Term& term, arb_ptr out) {
  if (term.kind == TermKind::rational) return set_ball(out, term.value, precision_), true;
  if (term.kind == TermKind::generator) return compute_generator(term, out);
  if (term.kind == TermKind::cosine) {
    fmpq_t q;
    fmpq_init(q);
    fmpq_set_mpq(q, term.value.get_mpq_t());
    arb_cos_pi_fmpq(out, q, precision_);
    fmpq_clear(q);
    return budget_.spend(1 + precision_ / 64);
  }
  arb_srcptr a = at(term.a);
  arb_srcptr b = term.b == TermId::none ? a : at(term.b);
  if (a == nullptr || b == nullptr) return false;
  switch (term.kind) {
    case TermKind::add:
      arb_add(out, a, b, precision_);
      return true;
    case TermKind::multiply:
      arb_mul(out, a, b, precision_);
      return true;
    case TermKind::power:
      if (term.n < 0 && arb_contains_zero(a) != 0) return false;
      arb_pow_ui(out, a, static_cast<ulong>(std::labs(term.n)), precision_);
      if (term.n < 0) arb_inv(out, out, precision_);
      return true;
    default:  // a root
      if (arb_is_positive(a) == 0) return false;
      arb_root_ui(out, a, static_cast<ulong>(term.n), precision_);
      return true;
  }
}

bool TermValues::compute_generator(const Term& term, arb_ptr out) {
  if (numbers_ != nullptr) {
    set_ball(out, (*numbers_)[static_cast<size_t>(term.n)], precision_);
    if (!blur_) return true;
    mag_t radius;
    mag_init(radius);
    arb_get_mag(radius, out);
    mag_mul_2exp_si(radius, radius, -24);
    mag_add(arb_radref(out), arb_radref(out), radius);
    mag_clear(radius);
    return true;
  }
  const Generator& generator = terms_.generator_at(term.n);
  if (!budget_.spend(2 + precision_ / 64)) return false;
  if (generator.kind == GeneratorKind::pi) return arb_const_pi(out, precision_), true;
  if (generator.kind == GeneratorKind::variable) {
    return set_ball(out, generator.value, precision_), true;
  }
  arb_srcptr a = at(generator.a);
  arb_srcptr b = generator.b == TermId::none ? a : at(generator.b);
  if (a == nullptr || b == nullptr) return false;
  arf_t size;  // what is huge is not worth its time
  arf_init(size);
  arb_get_abs_ubound_arf(size, a, 32);
  const bool small = arf_cmp_d(size, 1e4) <= 0;
  arf_clear(size);
  switch (generator.kind) {
    case GeneratorKind::logarithm:
      if (arb_is_positive(a) == 0) return false;
      arb_log(out, a, precision_);
      return true;
    case GeneratorKind::exponential:
      if (small) arb_exp(out, a, precision_);
      return small;
    case GeneratorKind::angle:
      arb_atan2(out, b, a, precision_);
      return true;
    case GeneratorKind::half_tangent:
      arb_mul_2exp_si(out, a, -1);
      arb_tan(out, out, precision_);
      return true;
    default:  // gamma
      if (small) arb_gamma(out, a, precision_);
      return small && budget_.spend(100);
  }
}

}  // namespace temper
