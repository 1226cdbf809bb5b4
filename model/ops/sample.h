// Drawing tokens from rows of logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// Filters act on the logits in this order, each on what the one before left:
//   1. temperature: z = logits / temperature. 0 is greedy: the first index of the largest logit.
//   2. top_k:  keeps the k likeliest tokens. 0: all.
//   3. top_p:  keeps the fewest likeliest tokens whose share of the mass that top_k left is at
//              least top_p. 1: all.
//   4. min_p:  keeps tokens at least min_p times as likely as the likeliest. 0: all.
// Among equally likely tokens the smaller id counts as the likelier one.
struct SamplingParams {
  double temperature = 1.0;
  int64_t top_k = 0;
  double top_p = 1.0;
  double min_p = 0.0;

  // The temperature at which log-probabilities are recorded: greedy ones at 1.
  double recorded_temperature() const { return temperature > 0.0 ? temperature : 1.0; }
  // Whether a token's recorded log-probability differs from that of the full distribution.
  bool filtered() const { return temperature <= 0.0 || top_k > 0 || top_p < 1.0 || min_p > 0.0; }
};

// The draws to make: each from row `row` of the logits with the number `uniform` in [0, 1).
struct SampleDraws {
  Tensor row;      // [D] i32
  Tensor uniform;  // [D] f64
  Tensor rules;    // [D, kRuleColumns] f64: the fields of SamplingParams in their order
  bool entropy = false;
};
constexpr int64_t kRuleColumns = 4;

// What was drawn. With z = logits / recorded_temperature and lse = log sum exp z over all tokens:
struct SampleOutputs {
  Tensor token;  // [D] i32; -1 where the row holds NaN or infinity: the model is broken
  // [D, kNumberColumns] f64:
  // z[token] - lse, what the trainer computes for it (model/ops/log_prob.h);
  // the same of the distribution it was drawn from, renormalised over what the filters kept: equal
  // without filters, 0 when greedy;
  // the entropy lse - sum p z over all tokens, 0 unless asked for.
  Tensor numbers;
  // [D, kept_words(V)] i32 or empty: which tokens the filters of each draw kept, bit v % 32 of word
  // v / 32; none without filters, and where the draw is greedy.
  Tensor kept = {};
};
constexpr int64_t kNumberColumns = 3;
constexpr int64_t kept_words(int64_t vocabulary) {
  return (vocabulary + 31) / 32;
}
// The ids of such a row, ascending, behind those of `ids`; how many they are.
int64_t append_kept(std::span<const int32_t> words, std::vector<int32_t>& ids);

// Draws the tokens. A draw depends on its row, number and rule alone, bit for bit; the two devices
// draw the same token but where sums are equal within their rounding. Draws of one row and rule
// that stand side by side share their sums.
// Shapes: logits [M, V]. Types: f32 or f64, on the GPU f32; sums in f64. Units: nats.
void sample(Context& ctx, const SampleOutputs& out, Tensor logits, const SampleDraws& draws);

// Replaces each ids[n] < 0 by tokens[-1 - ids[n]], or 0 where that draw gave none: rows whose token
// was drawn a step ago and never seen by the host.  Shapes: ids [N] i32, tokens [D] i32.
void follow_draws(Context& ctx, Tensor ids, Tensor tokens);

}  // namespace temper
