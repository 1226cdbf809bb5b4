// Estimators of an evaluation: from samples of problems to rates with their errors.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace temper {

// A mean over problems with its standard error, sqrt(sum_i (x_i - mean)^2 / (n (n - 1))).
struct MeanError {
  double mean = 0.0, error = 0.0;
};
MeanError mean_with_error(std::span<const double> values);

// pass@k = 1 - C(n - c, k) / C(n, k): the chance that k of the n samples, drawn without putting
// back, hold one of the c right ones. Unbiased for the chance that k fresh samples do. k <= n.
// Source: Chen et al. 2021 (arXiv 2107.03374), equation 1.
double pass_at_k(int64_t n, int64_t c, int64_t k);

// One sample's say in a vote: its final answer, and whether that is right.
struct Vote {
  std::string_view answer;
  bool right = false;
};

// Whether the most frequent answer is right. All right answers count as one answer, others as one
// if their texts are equal; a sample without an answer has no vote. A tie goes to the answer that
// was given first, in the order of the samples. nullopt without a vote.
// Source: self-consistency (Wang et al. 2022, arXiv 2203.11171), cons@k of DeepSeek-R1.
std::optional<bool> majority_is_right(std::span<const Vote> votes);

// Two runs on the same problems: x_i and y_i are the shares of right samples of problem i.
struct PairedTest {
  int64_t problems = 0;
  double first = 0.0, second = 0.0;  // the means
  double difference = 0.0;           // mean of y_i - x_i
  double error = 0.0;                // its standard error, over problems
  double p_value = 1.0;
  int64_t better = 0, worse = 0;  // problems with y_i > x_i and y_i < x_i
};

// The two-sided randomisation test of paired differences: the share of sign changes of the d_i =
// y_i - x_i whose |sum| is at least the one found. Exact over all sign changes while at most 16
// differences are not 0, else by 100,000 of them drawn with a fixed seed. With one sample a problem
// it is McNemar's exact test.
// Source: Fisher's randomisation test, for pairs.
// Throws ContractError unless the lists are of one length.
PairedTest paired_test(std::span<const double> first, std::span<const double> second);

}  // namespace temper
