#include "model/layers/lm_head.h"

#include <algorithm>
#include <vector>

#include "core/device.h"
#include "model/ops/elementwise.h"
#include "model/ops/embedding.h"
#include "model/ops/keep_logits.h"
#include "model/ops/linear.h"

namespace temper {
namespace {

// One chunk: the chosen rows brought together, with their logits.
struct Chunk {
  Tensor rows;     // [C] i32
  Tensor targets;  // [C] i32
  Tensor hidden;   // [C, d]
  Tensor logits;   // [C, V]
};
Chunk make_chunk(Context& ctx, const HeadRows& rows, int64_t begin, int64_t n, Tensor hidden,
                 Tensor lm_head) {
  Chunk c;
  c.rows = rows.rows.slice_rows(begin, n);
  c.targets = rows.targets.slice_rows(begin, n);
  c.hidden = ctx.scratch.tensor("head.hidden", hidden.dtype, {n, hidden.cols()});
  c.logits = ctx.scratch.tensor("head.logits", stat_dtype(hidden.dtype), {n, lm_head.dim(0)});
  embedding_forward(ctx, c.hidden, hidden, c.rows);
  linear_forward(ctx, c.logits, c.hidden, lm_head);
  return c;
}

int64_t chunk_of(const HeadParams& params, const Tensor& hidden) {
  return params.chunk_tokens > 0 ? params.chunk_tokens : head_chunk(hidden.device);
}

// Leaves the logits that the sampler kept; `begin` is the chunk's place among the rows.
void cut_chunk(Context& ctx, const Chunk& c, const HeadParams& params, int64_t begin) {
  if (params.kept_begin.empty()) return;
  keep_logits(ctx, c.logits, params.kept_begin.slice_rows(begin, c.logits.rows() + 1),
              params.kept_ids);
}

// From the gradient of the chunk's logits to that of its rows and of the head.
void chunk_backward(Context& ctx, const HeadGrads& grads, const Chunk& c, Tensor lm_head) {
  Tensor dhidden =
      ctx.scratch.tensor("head.dhidden", c.hidden.dtype, {c.hidden.rows(), c.hidden.cols()});
  fill_zero(ctx, dhidden);
  linear_backward(ctx, {.dx = dhidden, .dw = grads.dlm_head}, c.logits, c.hidden, lm_head);
  scatter_rows_add(ctx, grads.dhidden, dhidden, c.rows);
}

Tensor part_of(const Tensor& all, int64_t begin, int64_t n) {
  return all.empty() ? Tensor{} : all.slice_rows(begin, n);
}
LogProbOutputs part_of(const LogProbOutputs& all, int64_t begin, int64_t n) {
  return {part_of(all.logprob, begin, n), part_of(all.entropy, begin, n),
          part_of(all.lse, begin, n)};
}

}  // namespace

HeadRows make_head_rows(Context& ctx, Arena& arena, std::span<const int32_t> targets) {
  std::vector<int32_t> rows, wanted;
  for (size_t t = 0; t < targets.size(); ++t) {
    if (targets[t] < 0) continue;
    rows.push_back(static_cast<int32_t>(t));
    wanted.push_back(targets[t]);
  }
  return {upload(ctx, arena, "head.rows", rows), upload(ctx, arena, "head.targets", wanted)};
}

void lm_head_forward(Context& ctx, const LogProbOutputs& out, Tensor hidden, Tensor lm_head,
                     const HeadRows& rows, const HeadParams& params) {
  const int64_t most = chunk_of(params, hidden);
  for (int64_t begin = 0; begin < rows.count(); begin += most) {
    ArenaScope scope(ctx.scratch);
    const int64_t n = std::min(most, rows.count() - begin);
    const Chunk c = make_chunk(ctx, rows, begin, n, hidden, lm_head);
    cut_chunk(ctx, c, params, begin);
    log_prob_forward(ctx, part_of(out, begin, n), c.logits, c.targets, params.temperature);
  }
}

void lm_head_backward(Context& ctx, const HeadGrads& grads, Tensor dlogprob, Tensor dentropy,
                      const LogProbOutputs& saved, Tensor hidden, Tensor lm_head,
                      const HeadRows& rows, const HeadParams& params) {
  const int64_t most = chunk_of(params, hidden);
  for (int64_t begin = 0; begin < rows.count(); begin += most) {
    ArenaScope scope(ctx.scratch);
    const int64_t n = std::min(most, rows.count() - begin);
    const Chunk c = make_chunk(ctx, rows, begin, n, hidden, lm_head);
    cut_chunk(ctx, c, params, begin);
    log_prob_backward(ctx, c.logits, part_of(dlogprob, begin, n), part_of(dentropy, begin, n),
                      part_of(saved, begin, n), c.targets, params.temperature);
    chunk_backward(ctx, grads, c, lm_head);
  }
}

void lm_head_chunks(Context& ctx, const HeadGrads& grads, Tensor hidden, Tensor lm_head,
                    const HeadRows& rows, const HeadParams& params, const LogitsLoss& loss) {
  const int64_t most = chunk_of(params, hidden);
  for (int64_t begin = 0; begin < rows.count(); begin += most) {
    ArenaScope scope(ctx.scratch);
    const int64_t n = std::min(most, rows.count() - begin);
    const Chunk c = make_chunk(ctx, rows, begin, n, hidden, lm_head);
    loss(c.logits, begin);
    chunk_backward(ctx, grads, c, lm_head);
  }
}

void lm_head_logits(Context& ctx, Tensor logits, Tensor hidden, Tensor lm_head) {
  linear_forward(ctx, logits, hidden, lm_head);
}

}  // namespace temper
