#include "model/layers/lm_head.h"

#include <algorithm>

#include "model/ops/elementwise.h"
#include "model/ops/embedding.h"
#include "model/ops/keep_logits.h"
#include "model/ops/linear.h"

namespace temper {
namespace {

// The rows that have a target, in order: the only ones whose logits are needed.
Tensor rows_with_target(Context& ctx, Tensor targets) {
  Tensor rows = ctx.scratch.tensor("head.rows", DType::i32, {targets.numel()});
  int64_t count = 0;
  for (int64_t t = 0; t < targets.numel(); ++t)
    if (targets.get<int32_t>()[t] >= 0) rows.get<int32_t>()[count++] = static_cast<int32_t>(t);
  return rows.slice_rows(0, count);
}

// One chunk: the chosen rows brought together, with their logits.
struct Chunk {
  Tensor rows;     // [C] i32
  Tensor hidden;   // [C, d]
  Tensor targets;  // [C] i32
  Tensor logits;   // [C, V]
};
Chunk make_chunk(Context& ctx, Tensor rows, Tensor hidden, Tensor lm_head, Tensor targets) {
  Chunk c;
  const int64_t n = rows.numel();
  c.rows = rows;
  c.hidden = ctx.scratch.tensor("head.hidden", hidden.dtype, {n, hidden.cols()});
  c.targets = ctx.scratch.tensor("head.targets", DType::i32, {n});
  c.logits = ctx.scratch.tensor("head.logits", hidden.dtype, {n, lm_head.dim(0)});
  embedding_forward(ctx, c.hidden, hidden, rows);
  for (int64_t i = 0; i < n; ++i)
    c.targets.get<int32_t>()[i] = targets.get<int32_t>()[rows.get<int32_t>()[i]];
  linear_forward(ctx, c.logits, c.hidden, lm_head);
  return c;
}

// Leaves the logits that the sampler kept; `begin` is the chunk's place among the rows.
void cut_chunk(Context& ctx, const Chunk& c, const HeadParams& params, int64_t begin) {
  if (params.kept_begin.empty()) return;
  keep_logits(ctx, c.logits, params.kept_begin.slice_rows(begin, c.logits.rows() + 1),
              params.kept_ids);
}

// A [C] tensor filled with the rows of the [T] tensor `all`; empty stays empty.
Tensor take(Context& ctx, Tensor all, Tensor rows) {
  if (all.empty()) return {};
  Tensor out = ctx.scratch.tensor("head.take", all.dtype, {rows.numel()});
  dispatch_float(all.dtype, [&]<class T>() {
    for (int64_t i = 0; i < rows.numel(); ++i)
      out.get<T>()[i] = all.get<T>()[rows.get<int32_t>()[i]];
  });
  return out;
}

// The inverse of take: all[rows[i]] = part[i].
void put(Tensor all, Tensor part, Tensor rows) {
  if (all.empty()) return;
  dispatch_float(all.dtype, [&]<class T>() {
    for (int64_t i = 0; i < rows.numel(); ++i)
      all.get<T>()[rows.get<int32_t>()[i]] = part.get<T>()[i];
  });
}

}  // namespace

void lm_head_forward(Context& ctx, const LogProbOutputs& out, Tensor hidden, Tensor lm_head,
                     Tensor targets, const HeadParams& params) {
  ArenaScope scope(ctx.scratch);
  for (Tensor t : {out.logprob, out.entropy, out.lse})
    if (!t.empty()) fill_zero(ctx, t);
  const Tensor rows = rows_with_target(ctx, targets);
  for (int64_t begin = 0; begin < rows.numel(); begin += params.chunk_tokens) {
    ArenaScope chunk_scope(ctx.scratch);
    const int64_t n = std::min(params.chunk_tokens, rows.numel() - begin);
    const Chunk c = make_chunk(ctx, rows.slice_rows(begin, n), hidden, lm_head, targets);
    cut_chunk(ctx, c, params, begin);
    LogProbOutputs part;
    part.logprob = ctx.scratch.tensor("head.logprob", hidden.dtype, {n});
    part.lse = ctx.scratch.tensor("head.lse", hidden.dtype, {n});
    if (!out.entropy.empty()) part.entropy = ctx.scratch.tensor("head.entropy", hidden.dtype, {n});
    log_prob_forward(ctx, part, c.logits, c.targets, params.temperature);
    put(out.logprob, part.logprob, c.rows);
    put(out.entropy, part.entropy, c.rows);
    put(out.lse, part.lse, c.rows);
  }
}

void lm_head_backward(Context& ctx, const HeadGrads& grads, Tensor dlogprob, Tensor dentropy,
                      const LogProbOutputs& saved, Tensor hidden, Tensor lm_head, Tensor targets,
                      const HeadParams& params) {
  ArenaScope scope(ctx.scratch);
  const Tensor rows = rows_with_target(ctx, targets);
  for (int64_t begin = 0; begin < rows.numel(); begin += params.chunk_tokens) {
    ArenaScope chunk_scope(ctx.scratch);
    const int64_t n = std::min(params.chunk_tokens, rows.numel() - begin);
    const Chunk c = make_chunk(ctx, rows.slice_rows(begin, n), hidden, lm_head, targets);
    cut_chunk(ctx, c, params, begin);
    const LogProbOutputs part{take(ctx, saved.logprob, c.rows), take(ctx, saved.entropy, c.rows),
                              take(ctx, saved.lse, c.rows)};
    log_prob_backward(ctx, c.logits, take(ctx, dlogprob, c.rows), take(ctx, dentropy, c.rows), part,
                      c.targets, params.temperature);
    Tensor dhidden = ctx.scratch.tensor("head.dhidden", hidden.dtype, {n, hidden.cols()});
    fill_zero(ctx, dhidden);
    linear_backward(ctx, {.dx = dhidden, .dw = grads.dlm_head}, c.logits, c.hidden, lm_head);
    embedding_backward(ctx, grads.dhidden, dhidden, c.rows);
  }
}

void lm_head_logits(Context& ctx, Tensor logits, Tensor hidden, Tensor lm_head) {
  linear_forward(ctx, logits, hidden, lm_head);
}

}  // namespace temper
