#include "rollout/estimators.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"

namespace temper {
namespace {

constexpr size_t kExact = 16;
constexpr int64_t kDraws = 100000;
constexpr uint64_t kSeed = 20220211;

// Whether |sum| reaches `bound`, up to the rounding of sums in another order.
bool reaches(double sum, double bound) {
  return std::abs(sum) >= bound - 1e-9 * std::max(1.0, bound);
}

// Over all 2^n sign changes.
double exact_share(const std::vector<double>& differences, double bound) {
  const uint64_t all = uint64_t{1} << differences.size();
  uint64_t count = 0;
  for (uint64_t signs = 0; signs < all; ++signs) {
    double sum = 0.0;
    for (size_t i = 0; i < differences.size(); ++i)
      sum += (signs >> i) & 1 ? -differences[i] : differences[i];
    count += reaches(sum, bound);
  }
  return static_cast<double>(count) / static_cast<double>(all);
}

// The found arrangement counts as one of the drawn, so that no p value is 0.
double drawn_share(const std::vector<double>& differences, double bound) {
  int64_t count = 1;
  for (int64_t draw = 0; draw < kDraws; ++draw) {
    Random random(kSeed, RandomStream::sampling, static_cast<uint32_t>(draw));
    double sum = 0.0;
    uint32_t bits = 0;
    for (size_t i = 0; i < differences.size(); ++i, bits >>= 1) {
      if (i % 32 == 0) bits = random.next_u32();
      sum += bits & 1 ? -differences[i] : differences[i];
    }
    count += reaches(sum, bound);
  }
  return static_cast<double>(count) / static_cast<double>(kDraws + 1);
}

}  // namespace

MeanError mean_with_error(std::span<const double> values) {
  MeanError out;
  if (values.empty()) return out;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) out.mean += value / n;
  double squares = 0.0;
  for (const double value : values) squares += (value - out.mean) * (value - out.mean);
  if (values.size() > 1) out.error = std::sqrt(squares / (n * (n - 1.0)));
  return out;
}

double pass_at_k(int64_t n, int64_t c, int64_t k) {
  require(k >= 1 && k <= n && c >= 0 && c <= n, "pass@k of k samples out of n, c of them right");
  if (n - c < k) return 1.0;
  double all_wrong = 1.0;  // C(n - c, k) / C(n, k), factor by factor
  for (int64_t i = n - c + 1; i <= n; ++i)
    all_wrong *= 1.0 - static_cast<double>(k) / static_cast<double>(i);
  return 1.0 - all_wrong;
}

std::optional<bool> majority_is_right(std::span<const Vote> votes) {
  struct Candidate {
    Vote vote;
    int64_t count = 0;
  };
  std::vector<Candidate> candidates;  // in the order of their first vote
  for (const Vote& vote : votes) {
    if (vote.answer.empty() && !vote.right) continue;
    const auto same = std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& c) {
      return vote.right == c.vote.right && (vote.right || vote.answer == c.vote.answer);
    });
    if (same == candidates.end()) {
      candidates.push_back({vote, 1});
    } else {
      ++same->count;
    }
  }
  if (candidates.empty()) return std::nullopt;
  // max_element gives the first of equals: the answer that was given first.
  const auto most =
      std::max_element(candidates.begin(), candidates.end(),
                       [](const auto& a, const auto& b) { return a.count < b.count; });
  return most->vote.right;
}

PairedTest paired_test(std::span<const double> first, std::span<const double> second) {
  require(first.size() == second.size(), "a paired test needs the same problems twice");
  PairedTest test;
  test.problems = static_cast<int64_t>(first.size());
  test.first = mean_with_error(first).mean;
  test.second = mean_with_error(second).mean;
  std::vector<double> all, unequal;
  double sum = 0.0;
  for (size_t i = 0; i < first.size(); ++i) {
    const double d = second[i] - first[i];
    all.push_back(d);
    sum += d;
    test.better += d > 0.0;
    test.worse += d < 0.0;
    if (d != 0.0) unequal.push_back(d);
  }
  const MeanError difference = mean_with_error(all);
  test.difference = difference.mean;
  test.error = difference.error;
  if (unequal.empty()) return test;
  test.p_value = unequal.size() <= kExact ? exact_share(unequal, std::abs(sum))
                                          : drawn_share(unequal, std::abs(sum));
  return test;
}

}  // namespace temper
