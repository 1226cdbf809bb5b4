#include "reward/math/zero_test.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "reward/math/exact.h"

namespace temper {
namespace {

constexpr double kMaxProofBits = 30'000;
constexpr size_t kMaxExactTermBits = 20'000;
constexpr unsigned long kMaxOrder = 2000;  // of a root of unity

// The terms that `id` is made of, itself last.
void collect(const TermTable& terms, TermId id, std::vector<bool>& seen, std::vector<TermId>& out) {
  if (id == TermId::none || seen[static_cast<size_t>(id)]) return;
  seen[static_cast<size_t>(id)] = true;
  collect(terms, terms[id].a, seen, out);
  collect(terms, terms[id].b, seen, out);
  out.push_back(id);
}

// A rational near the generator's value: 25 bits of it, then 40 random ones.
std::optional<mpq_class> number_near(arb_srcptr value, uint64_t& state) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  const arf_struct* middle = arb_midref(value);
  if (arf_is_zero(middle) != 0 || arf_cmpabs_2exp_si(middle, 20'000) > 0 ||
      arf_cmpabs_2exp_si(middle, -20'000) < 0) {
    return std::nullopt;
  }
  arf_t scaled;
  arf_init(scaled);
  const slong shift = 66 - arf_abs_bound_lt_2exp_si(middle);
  arf_mul_2exp_si(scaled, middle, shift);
  fmpz_t whole;
  fmpz_init(whole);
  arf_get_fmpz(whole, scaled, ARF_RND_NEAR);
  mpz_class number;
  fmpz_get_mpz(number.get_mpz_t(), whole);
  fmpz_clear(whole);
  arf_clear(scaled);
  number += mpz_class(static_cast<unsigned long>(state >> 24));
  mpq_class result(number);
  if (shift >= 0) {
    mpq_div_2exp(result.get_mpq_t(), result.get_mpq_t(), static_cast<mp_bitcnt_t>(shift));
  } else {
    mpq_mul_2exp(result.get_mpq_t(), result.get_mpq_t(), static_cast<mp_bitcnt_t>(-shift));
  }
  return result;
}

class ZeroTest {
 public:
  ZeroTest(const TermTable& terms, TermId id, MathBudget& budget)
      : terms_(terms), id_(id), budget_(budget) {
    std::vector<bool> seen(terms.size(), false);
    collect(terms, id, seen, order_);
  }

  bool run() {
    if (!choose_numbers()) return false;
    exact_.resize(terms_.size());
    sizes_.resize(terms_.size());
    for (const TermId id : order_) {
      if (!budget_.spend(1)) return false;
      measure(id);
    }
    const auto& exact = exact_[static_cast<size_t>(id_)];
    if (exact) return *exact == 0;
    return vanishes();
  }

 private:
  struct Size {                   // in bits: a term is a quotient of algebraic integers
    double above = 0, below = 0;  // the largest conjugate of either
  };

  bool choose_numbers() {
    numbers_.resize(terms_.generators());
    uint64_t state = 0x9E3779B97F4A7C15u + static_cast<uint64_t>(id_);
    bool any = false;
    TermValues values(terms_, 128, budget_);
    for (const TermId id : order_) {
      if (terms_[id].kind != TermKind::generator) continue;
      arb_srcptr value = values.at(id);
      const auto number = value == nullptr ? std::nullopt : number_near(value, state);
      if (!number) return false;
      numbers_[static_cast<size_t>(terms_[id].n)] = *number;
      any = true;
    }
    if (!any) return true;
    // Nothing may turn around or blow up on the way from the values to the numbers.
    return TermValues(terms_, 128, budget_, &numbers_, true).at(id_) != nullptr;
  }

  void measure(TermId id) {
    const Term& term = terms_[id];
    auto& exact = exact_[static_cast<size_t>(id)];
    exact = exact_value_of(term);
    if (exact) budget_.spend(static_cast<int64_t>(bits_of(*exact) / 32));
    if (exact && bits_of(*exact) > kMaxExactTermBits) exact.reset();
    Size& size = sizes_[static_cast<size_t>(id)];
    if (exact) {
      size = {static_cast<double>(mpz_sizeinbase(exact->get_num_mpz_t(), 2)),
              static_cast<double>(mpz_sizeinbase(exact->get_den_mpz_t(), 2))};
    } else {
      size = size_of(term);
    }
  }

  const std::optional<mpq_class>& exact(TermId id) const { return exact_[static_cast<size_t>(id)]; }
  const Size& size(TermId id) const { return sizes_[static_cast<size_t>(id)]; }

  std::optional<mpq_class> exact_value_of(const Term& term) const {
    if (term.kind == TermKind::rational) return term.value;
    if (term.kind == TermKind::generator) return numbers_[static_cast<size_t>(term.n)];
    if (term.kind == TermKind::cosine || !exact(term.a)) return std::nullopt;
    const mpq_class& a = *exact(term.a);
    if (term.kind == TermKind::root) return exact_root(a, static_cast<unsigned long>(term.n));
    if (term.kind == TermKind::power) {
      const auto times = static_cast<unsigned long>(std::labs(term.n));
      if (bits_of(a) * times > kMaxExactTermBits || (a == 0 && term.n < 0)) return std::nullopt;
      mpz_class above, below;
      mpz_pow_ui(above.get_mpz_t(), a.get_num_mpz_t(), times);
      mpz_pow_ui(below.get_mpz_t(), a.get_den_mpz_t(), times);
      mpq_class result = term.n < 0 ? mpq_class(below, above) : mpq_class(above, below);
      result.canonicalize();
      return result;
    }
    if (!exact(term.b)) return std::nullopt;
    return term.kind == TermKind::add ? mpq_class(a + *exact(term.b))
                                      : mpq_class(a * *exact(term.b));
  }

  Size size_of(const Term& term) {
    if (term.kind == TermKind::cosine) return order_of_unity(term.value), Size{1, 1};
    if (term.kind == TermKind::rational || term.kind == TermKind::generator) {
      return {2 * kMaxProofBits, 0};  // too large to be exact
    }
    const Size& a = size(term.a);
    const double n = static_cast<double>(std::labs(term.n));
    if (term.kind == TermKind::root) {
      degree_ *= n;
      return {(a.above + (n - 1) * a.below) / n, a.below};
    }
    if (term.kind == TermKind::power) {
      return term.n < 0 ? Size{n * a.below, n * a.above} : Size{n * a.above, n * a.below};
    }
    const Size& b = size(term.b);
    if (term.kind == TermKind::multiply) return {a.above + b.above, a.below + b.below};
    return {1 + std::max(a.above + b.below, b.above + a.below), a.below + b.below};
  }

  // cos(pi p/q) lies in the field of the roots of unity of order 2q.
  void order_of_unity(const mpq_class& turns) {
    const mpz_class& half = turns.get_den();
    const unsigned long order = half > kMaxOrder ? kMaxOrder + 1 : 2 * half.get_ui();
    unity_ = order > kMaxOrder ? order : std::min(std::lcm(unity_, order), kMaxOrder + 1);
  }

  static double totient(unsigned long n) {
    unsigned long result = n;
    for (unsigned long p = 2; p * p <= n; ++p) {
      if (n % p != 0) continue;
      while (n % p == 0) n /= p;
      result -= result / p;
    }
    if (n > 1) result -= result / n;
    return static_cast<double>(result);
  }

  bool vanishes() {
    if (unity_ > kMaxOrder) return false;
    const Size& size = sizes_[static_cast<size_t>(id_)];
    const double degree = degree_ * totient(unity_);
    const double needed = (degree - 1) * size.above + size.below + 8;
    if (!(needed < kMaxProofBits)) return false;
    const auto bits = static_cast<slong>(needed);
    for (slong precision = std::min<slong>(192, bits + 64);; precision *= 2) {
      TermValues values(terms_, precision, budget_, &numbers_);
      arb_srcptr value = values.at(id_);
      if (value != nullptr && arb_contains_zero(value) == 0) return false;
      if (value != nullptr) {
        mag_t largest;
        mag_init(largest);
        arb_get_mag(largest, value);
        const bool proven = mag_cmp_2exp_si(largest, -bits) < 0;
        mag_clear(largest);
        if (proven) return true;
      }
      if (precision > 2 * bits + 2000 || budget_.spent()) return false;
      if (precision >= 768 && precision < bits) precision = (bits + 64) / 2;  // straight to it
    }
  }

  const TermTable& terms_;
  TermId id_;
  MathBudget& budget_;
  std::vector<TermId> order_;
  std::vector<mpq_class> numbers_;  // of the generators
  std::vector<std::optional<mpq_class>> exact_;
  std::vector<Size> sizes_;
  double degree_ = 1;
  unsigned long unity_ = 1;  // the order of a root of unity that all cosines lie under
};

}  // namespace

bool is_zero(const TermTable& terms, TermId id, MathBudget& budget) {
  if (terms.failed()) return false;
  if (terms.is_rational(id)) return terms[id].value == 0;
  return ZeroTest(terms, id, budget).run();
}

}  // namespace temper
