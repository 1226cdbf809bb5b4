// The scalar head of a reward model: a number a sequence, from the hidden state of its last token.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// scores_s = w . hidden[last_s].
// Source: the "score" layer of transformers' ...ForSequenceClassification.
// Shapes: scores [S, L] (L labels, 1 for a reward model), hidden [T, d], w [L, d], last [S] i32.
// Types: scores in the statistics' dtype of hidden (core/device.h).
void score_head_forward(Context& ctx, Tensor scores, Tensor hidden, Tensor w, Tensor last);

// dhidden[last_s] += dscores_s w;  dw += sum_s dscores_s hidden[last_s].
// Shapes: dscores [S, L]. Adds into: dhidden [T, d], dw [L, d].
struct ScoreHeadGrads {
  Tensor dhidden, dw;
};
void score_head_backward(Context& ctx, const ScoreHeadGrads& grads, Tensor dscores, Tensor hidden,
                         Tensor w, Tensor last);

}  // namespace temper
