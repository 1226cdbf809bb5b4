// The output head: log-probabilities of given tokens without ever holding all logits.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/log_prob.h"

namespace temper {

struct HeadParams {
  double temperature = 1.0;
  int64_t chunk_tokens = 128;  // rows of logits alive at a time
  // Which logits count, for the rows with a target in order (model/ops/keep_logits.h); empty: all.
  Tensor kept_begin = {}, kept_ids = {};  // [rows + 1], [K] i32
};

// logits = hidden lm_head^T, chunk by chunk; out as log_prob_forward gives it.
// Shapes: hidden [T, d], lm_head [V, d], targets [T] i32; out.* [T].
// Rows without a target are skipped: logprob, entropy and lse are 0 there.
void lm_head_forward(Context& ctx, const LogProbOutputs& out, Tensor hidden, Tensor lm_head,
                     Tensor targets, const HeadParams& params);

// Logits are computed again, chunk by chunk. Adds into: dhidden [T, d], dlm_head [V, d].
// dlogprob [T]; dentropy [T] or empty; saved: what lm_head_forward gave.
struct HeadGrads {
  Tensor dhidden, dlm_head;
};
void lm_head_backward(Context& ctx, const HeadGrads& grads, Tensor dlogprob, Tensor dentropy,
                      const LogProbOutputs& saved, Tensor hidden, Tensor lm_head, Tensor targets,
                      const HeadParams& params);

// All logits of few rows (sampling): logits [N, V].
void lm_head_logits(Context& ctx, Tensor logits, Tensor hidden, Tensor lm_head);

}  // namespace temper
