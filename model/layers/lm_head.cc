#include "model/layers/lm_head.h"

#include <algorithm>
#include <vector>

#include "core/device.h"
#include "core/named_range.h"
#include "model/ops/embedding.h"
#include "model/ops/head.h"
#include "model/ops/linear.h"

namespace temper {
namespace {

// One chunk: the chosen rows brought together, and what is asked of them.
struct Chunk {
  Tensor rows;    // [C] i32
  Tensor hidden;  // [C, d]
  HeadTargets targets;
};
Chunk make_chunk(Context& ctx, const HeadRows& rows, int64_t begin, int64_t n, Tensor hidden,
                 const HeadParams& params) {
  Chunk c{
      .rows = rows.rows.slice_rows(begin, n),
      .hidden = ctx.scratch.tensor("head.hidden", hidden.dtype, {n, hidden.cols()}),
      .targets = {.targets = rows.targets.slice_rows(begin, n), .temperature = params.temperature}};
  if (!params.kept_begin.empty()) {
    c.targets.kept_begin = params.kept_begin.slice_rows(begin, n + 1);
    c.targets.kept_ids = params.kept_ids;
  }
  embedding_forward(ctx, c.hidden, hidden, c.rows);
  return c;
}

int64_t chunk_of(const Context& ctx, const HeadParams& params, const Tensor& hidden,
                 const Tensor& lm_head) {
  if (params.chunk_tokens > 0) return params.chunk_tokens;
  const bool without =
      head_without_logits(ctx, hidden, lm_head, {.targets = {}, .kept_begin = params.kept_begin});
  return head_chunk(hidden.device, lm_head.dim(0), without);
}

Tensor part_of(const Tensor& all, int64_t begin, int64_t n) {
  return all.empty() ? Tensor{} : all.slice_rows(begin, n);
}
LogProbOutputs part_of(const LogProbOutputs& all, int64_t begin, int64_t n) {
  return {part_of(all.logprob, begin, n), part_of(all.entropy, begin, n),
          part_of(all.lse, begin, n)};
}

// Goes back over the rows chunk by chunk: gradient(chunk, begin, n, dhidden, dw) writes dhidden
// [n, d], which is then added at its rows, and dw, which is written once and added to from then on.
template <class Gradient>
void each_chunk(Context& ctx, const HeadGrads& grads, const Tensor& hidden, const Tensor& lm_head,
                const HeadRows& rows, const HeadParams& params, Gradient&& gradient) {
  const int64_t most = chunk_of(ctx, params, hidden, lm_head);
  if (rows.count() == 0) to_add(ctx, grads.dlm_head);
  for (int64_t begin = 0; begin < rows.count(); begin += most) {
    ArenaScope scope(ctx.scratch);
    const int64_t n = std::min(most, rows.count() - begin);
    const Chunk c = make_chunk(ctx, rows, begin, n, hidden, params);
    const Tensor dhidden = ctx.scratch.tensor("head.dhidden", hidden.dtype, {n, hidden.cols()});
    gradient(c, begin, n, dhidden, begin == 0 ? grads.dlm_head : grads.dlm_head.written());
    scatter_rows_add(ctx, grads.dhidden, dhidden, c.rows);
  }
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
  const NamedRange range(ctx, "head forward");
  const int64_t most = chunk_of(ctx, params, hidden, lm_head);
  for (int64_t begin = 0; begin < rows.count(); begin += most) {
    ArenaScope scope(ctx.scratch);
    const int64_t n = std::min(most, rows.count() - begin);
    const Chunk c = make_chunk(ctx, rows, begin, n, hidden, params);
    head_log_prob_forward(ctx, part_of(out, begin, n), c.hidden, lm_head, c.targets);
  }
}

void lm_head_backward(Context& ctx, const HeadGrads& grads, Tensor dlogprob, Tensor dentropy,
                      const LogProbOutputs& saved, Tensor hidden, Tensor lm_head,
                      const HeadRows& rows, const HeadParams& params) {
  const NamedRange range(ctx, "head backward");
  each_chunk(ctx, grads, hidden, lm_head, rows, params,
             [&](const Chunk& c, int64_t begin, int64_t n, const Tensor& dhidden, const Grad& dw) {
               head_log_prob_backward(ctx, {.dx = fresh(dhidden), .dw = dw},
                                      {part_of(dlogprob, begin, n), part_of(dentropy, begin, n),
                                       part_of(saved, begin, n)},
                                      c.hidden, lm_head, c.targets);
             });
}

void lm_head_linear(Context& ctx, const LogProbOutputs& out, const HeadGrads& grads,
                    Tensor dlogprob, Tensor hidden, Tensor lm_head, const HeadRows& rows,
                    const HeadParams& params) {
  const NamedRange range(ctx, "head");
  each_chunk(ctx, grads, hidden, lm_head, rows, params,
             [&](const Chunk& c, int64_t begin, int64_t n, const Tensor& dhidden, const Grad& dw) {
               head_log_prob_linear(ctx, part_of(out, begin, n), {.dx = fresh(dhidden), .dw = dw},
                                    part_of(dlogprob, begin, n), c.hidden, lm_head, c.targets);
             });
}

void lm_head_chunks(Context& ctx, const HeadGrads& grads, Tensor hidden, Tensor lm_head,
                    const HeadRows& rows, const HeadParams& params, const LogitsLoss& loss) {
  const int64_t most =
      params.chunk_tokens > 0 ? params.chunk_tokens : head_chunk(hidden.device, lm_head.dim(0));
  if (rows.count() == 0) to_add(ctx, grads.dlm_head);
  for (int64_t begin = 0; begin < rows.count(); begin += most) {
    ArenaScope scope(ctx.scratch);
    const int64_t n = std::min(most, rows.count() - begin);
    const Chunk c = make_chunk(ctx, rows, begin, n, hidden, params);
    const Tensor logits =
        ctx.scratch.tensor("head.logits", stat_dtype(hidden.dtype), {n, lm_head.dim(0)});  // [C, V]
    linear_forward(ctx, logits, c.hidden, lm_head);
    loss(logits, begin);
    const Tensor dhidden = ctx.scratch.tensor("head.dhidden", hidden.dtype, {n, hidden.cols()});
    const Grad dw = begin == 0 ? grads.dlm_head : grads.dlm_head.written();
    linear_backward(ctx, {.dx = fresh(dhidden), .dw = dw}, logits, c.hidden, lm_head);
    scatter_rows_add(ctx, grads.dhidden, dhidden, c.rows);
  }
}

void lm_head_logits(Context& ctx, Tensor logits, Tensor hidden, Tensor lm_head) {
  linear_forward(ctx, logits, hidden, lm_head);
}

}  // namespace temper
