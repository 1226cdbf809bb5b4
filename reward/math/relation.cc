#include "reward/math/relation.h"

#include <flint/fmpz_lll.h>
#include <flint/fmpz_mat.h>

namespace temper {
namespace {

constexpr slong kBitsEach = 36;  // well above the 15 of a coefficient: chance makes no relation
constexpr slong kCoefficientBits = 15;

class Lattice {
 public:
  explicit Lattice(slong count) : count_(count) { fmpz_mat_init(rows_, count, count + 1); }
  ~Lattice() { fmpz_mat_clear(rows_); }
  Lattice(const Lattice&) = delete;
  Lattice& operator=(const Lattice&) = delete;

  // Row i: the unit vector i, then the value in fixed point.
  void set(slong i, arb_srcptr value, slong bits) {
    fmpz_one(fmpz_mat_entry(rows_, i, i));
    arf_t scaled;
    arf_init(scaled);
    arf_mul_2exp_si(scaled, arb_midref(value), bits);
    arf_get_fmpz(fmpz_mat_entry(rows_, i, count_), scaled, ARF_RND_NEAR);
    arf_clear(scaled);
  }

  void reduce() {
    fmpz_lll_t context;
    fmpz_lll_context_init_default(context);
    fmpz_lll(rows_, nullptr, context);
  }

  // The row as coefficients, if they are small and so is what is left of the sum.
  std::optional<std::vector<long>> small_row(slong i) const {
    if (fmpz_bits(fmpz_mat_entry(rows_, i, count_)) > kCoefficientBits + 8) return std::nullopt;
    std::vector<long> row;
    for (slong j = 0; j < count_; ++j) {
      const fmpz* entry = fmpz_mat_entry(rows_, i, j);
      if (fmpz_bits(entry) > kCoefficientBits) return std::nullopt;
      row.push_back(fmpz_get_si(entry));
    }
    return row;
  }

 private:
  slong count_;
  fmpz_mat_t rows_;
};

}  // namespace

slong relation_bits(size_t count) {
  return kBitsEach * (static_cast<slong>(count) + 1) + 64;
}

std::optional<std::vector<long>> find_relation(const std::vector<arb_srcptr>& values) {
  const auto count = static_cast<slong>(values.size());
  Lattice lattice(count);
  for (slong i = 0; i < count; ++i) {
    lattice.set(i, values[static_cast<size_t>(i)], relation_bits(values.size()) - 64);
  }
  lattice.reduce();
  for (slong i = 0; i < count; ++i) {
    auto row = lattice.small_row(i);
    if (!row || row->front() == 0) continue;
    const bool negative = row->front() < 0;
    for (size_t j = 0; j < row->size(); ++j) {
      if ((j == 0) == negative) (*row)[j] = -(*row)[j];
    }
    return row;
  }
  return std::nullopt;
}

}  // namespace temper
