#include "rollout/estimators.h"

#include <cmath>

#include "tests/support/catch.h"

using namespace temper;

namespace {

// Whether the subset holds one of the first c of n samples; over all subsets of size k.
double counted_pass_at_k(int n, int c, int k) {
  int all = 0, hit = 0;
  for (int set = 0; set < 1 << n; ++set) {
    if (__builtin_popcount(static_cast<unsigned>(set)) != k) continue;
    ++all;
    hit += (set & ((1 << c) - 1)) != 0;
  }
  return static_cast<double>(hit) / all;
}

double binomial(int n, int k) {
  return std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1));
}

}  // namespace

TEST_CASE("pass@k is the share of the subsets of k samples that hold a right one") {
  for (int n = 1; n <= 8; ++n)
    for (int c = 0; c <= n; ++c)
      for (int k = 1; k <= n; ++k)
        CHECK(pass_at_k(n, c, k) == Approx(counted_pass_at_k(n, c, k)).margin(1e-12));
  CHECK(pass_at_k(200, 3, 100) == Approx(1 - binomial(197, 100) / binomial(200, 100)));
  CHECK(pass_at_k(100000, 1, 1) == Approx(1e-5));
  CHECK_THROWS(pass_at_k(4, 1, 5));
}

TEST_CASE("pass@k is unbiased: its mean over all outcomes is the chance of k fresh samples") {
  const double p = 0.3;
  for (int k = 1; k <= 6; ++k) {
    double mean = 0;
    for (int c = 0; c <= 6; ++c)
      mean += binomial(6, c) * std::pow(p, c) * std::pow(1 - p, 6 - c) * pass_at_k(6, c, k);
    CHECK(mean == Approx(1 - std::pow(1 - p, k)));
  }
}

TEST_CASE("a vote: right answers are one answer, ties go to the first, silence has no vote") {
  const auto vote = [](std::vector<Vote> votes) { return majority_is_right(votes); };
  CHECK(vote({{"1/2", true}, {"0.5", true}, {"7", false}}) == true);
  CHECK(vote({{"7", false}, {"1/2", true}, {"7", false}}) == false);
  CHECK(vote({{"7", false}, {"1/2", true}}) == false);
  CHECK(vote({{"1/2", true}, {"7", false}}) == true);
  CHECK(vote({{"7", false}, {"8", false}, {"9", true}, {"9", true}}) == true);
  CHECK(vote({{"", false}, {"", false}, {"9", true}}) == true);
  CHECK(vote({{"", false}}) == std::nullopt);
  CHECK(vote({}) == std::nullopt);
}

TEST_CASE("a mean's error is that of independent problems") {
  const MeanError m = mean_with_error(std::vector<double>{0.5, 0.0, 1.0});
  CHECK(m.mean == Approx(0.5));
  CHECK(m.error == Approx(std::sqrt((0.0 + 0.25 + 0.25) / (3 * 2))));
  CHECK(mean_with_error(std::vector<double>{0.25}).error == 0.0);
  CHECK(mean_with_error(std::vector<double>{}).mean == 0.0);
}

TEST_CASE("with one sample a problem the paired test is McNemar's exact test") {
  // 9 problems got better, 2 worse, 20 stayed: p = 2 P(X <= 2), X binomial(11, 1/2).
  std::vector<double> a, b;
  for (int i = 0; i < 31; ++i) {
    a.push_back(i < 9 ? 0 : i < 11 ? 1 : i % 2);
    b.push_back(i < 9 ? 1 : i < 11 ? 0 : i % 2);
  }
  const PairedTest t = paired_test(a, b);
  CHECK(t.better == 9);
  CHECK(t.worse == 2);
  CHECK(t.difference == Approx(7.0 / 31));
  CHECK(t.p_value == Approx(2 * (binomial(11, 0) + binomial(11, 1) + binomial(11, 2)) / 2048));
  const double mean = 7.0 / 31, squares = 11 - 31 * mean * mean;
  CHECK(t.error == Approx(std::sqrt(squares / (31 * 30))));
  CHECK(paired_test(a, a).p_value == 1.0);
  CHECK(paired_test(b, a).p_value == t.p_value);
}

TEST_CASE("many differences are tested by draws, close to the exact test") {
  // 30 better and 12 worse: 2 P(X <= 12), X binomial(42, 1/2).
  std::vector<double> a(42, 0.0), b(42, 1.0);
  for (int i = 0; i < 12; ++i) std::swap(a[static_cast<size_t>(i)], b[static_cast<size_t>(i)]);
  double exact = 0;
  for (int i = 0; i <= 12; ++i) exact += 2 * binomial(42, i) / std::pow(2, 42);
  const double p = paired_test(a, b).p_value;
  CHECK(std::abs(p - exact) < 4 * std::sqrt(exact / 100000));
  CHECK(paired_test(a, b).p_value == p);
}
