#include "model/layers/score_head.h"

#include "model/ops/elementwise.h"
#include "model/ops/embedding.h"
#include "model/ops/linear.h"

namespace temper {
namespace {

// The last hidden states, one after another: [S, d].
Tensor last_states(Context& ctx, Tensor hidden, Tensor last) {
  const Tensor states =
      ctx.scratch.tensor("score.hidden", hidden.dtype, {last.numel(), hidden.cols()});
  embedding_forward(ctx, states, hidden, last);
  return states;
}

}  // namespace

void score_head_forward(Context& ctx, Tensor scores, Tensor hidden, Tensor w, Tensor last) {
  ArenaScope scope(ctx.scratch);
  linear_forward(ctx, scores, last_states(ctx, hidden, last), w);
}

void score_head_backward(Context& ctx, const ScoreHeadGrads& grads, Tensor dscores, Tensor hidden,
                         Tensor w, Tensor last) {
  ArenaScope scope(ctx.scratch);
  const Tensor states = last_states(ctx, hidden, last);
  const Tensor dstates =
      ctx.scratch.tensor("score.dhidden", hidden.dtype, {last.numel(), hidden.cols()});
  fill_zero(ctx, dstates);
  linear_backward(ctx, {.dx = dstates, .dw = grads.dw}, dscores, states, w);
  scatter_rows_add(ctx, grads.dhidden, dstates, last);
}

}  // namespace temper
