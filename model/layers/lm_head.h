// The output head: log-probabilities of given tokens without ever holding all logits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"
#include "model/ops/log_prob.h"

namespace temper {

struct HeadParams {
  double temperature = 1.0;
  int64_t chunk_tokens = 0;  // rows of logits alive at a time; 0: head_chunk()
  // Which logits count, for the rows in order (model/ops/keep_logits.h); empty: all.
  Tensor kept_begin = {}, kept_ids = {};  // [R + 1], [K] i32
};
// What keeps a chunk's logits in a CPU's cache, or gives a GPU 2^27 of them; 2^29 where it does
// without them (model/ops/head.h), since each chunk reads and writes the whole gradient of lm_head.
constexpr int64_t head_chunk(Device device, int64_t vocab_size, bool without_logits = false) {
  if (device == Device::cpu) return 128;
  const int64_t most = int64_t{1} << (without_logits ? 29 : 27);
  return std::clamp<int64_t>(most / vocab_size / 256 * 256, 256, 8192);
}

// The rows of a batch that have a target, in order: the only ones whose logits are needed.
struct HeadRows {
  Tensor rows;     // [R] i32  which row of the hidden states
  Tensor targets;  // [R] i32  the token asked for there

  int64_t count() const { return rows.numel(); }
};
// From the target of each row of a batch, -1 where none counts.
HeadRows make_head_rows(Context& ctx, Arena& arena, std::span<const int32_t> targets);

// logits = hidden lm_head^T, chunk by chunk; out as log_prob_forward gives it.
// Shapes: hidden [T, d], lm_head [V, d]; out.* [R], of rows.rows in order.
// Types: logits and out in the statistics' dtype of hidden (core/device.h).
void lm_head_forward(Context& ctx, const LogProbOutputs& out, Tensor hidden, Tensor lm_head,
                     const HeadRows& rows, const HeadParams& params);

// Logits are computed again, chunk by chunk. Adds into: dhidden [T, d], dlm_head [V, d].
// dlogprob [R]; dentropy [R] or empty; saved: what lm_head_forward gave.
struct HeadGrads {
  Tensor dhidden;
  Grad dlm_head;
};
void lm_head_backward(Context& ctx, const HeadGrads& grads, Tensor dlogprob, Tensor dentropy,
                      const LogProbOutputs& saved, Tensor hidden, Tensor lm_head,
                      const HeadRows& rows, const HeadParams& params);

// Both in one, chunk by chunk, for dlogprob [R] that is known beforehand: logits are computed once.
void lm_head_linear(Context& ctx, const LogProbOutputs& out, const HeadGrads& grads,
                    Tensor dlogprob, Tensor hidden, Tensor lm_head, const HeadRows& rows,
                    const HeadParams& params);

// Calls `loss` with the logits [C, V] of each chunk in turn and with the place of its first row
// among rows; what it leaves there must be their gradient, which goes on to hidden and lm_head.
// Adds into: dhidden [T, d], dlm_head [V, d]. params.kept_* is not looked at.
using LogitsLoss = std::function<void(Tensor logits, int64_t begin)>;
void lm_head_chunks(Context& ctx, const HeadGrads& grads, Tensor hidden, Tensor lm_head,
                    const HeadRows& rows, const HeadParams& params, const LogitsLoss& loss);

// All logits of few rows (sampling): logits [N, V].
void lm_head_logits(Context& ctx, Tensor logits, Tensor hidden, Tensor lm_head);

}  // namespace temper
