#include "model/layers/mtp.h"

#include "core/device.h"
#include "model/layers/rope_env.h"
#include "model/ops/elementwise.h"
#include "model/ops/embedding.h"
#include "model/ops/linear.h"
#include "model/ops/rms_norm.h"

namespace temper {

MtpBatch make_mtp_batch(Context& ctx, Arena& arena, const TokenBatch& before) {
  const std::vector<int32_t>& targets = before.targets;
  MtpBatch out;
  TokenBatch& batch = out.batch;
  std::vector<int32_t> rows, ids, positions;
  batch.cu_seqlens = {0};
  for (size_t s = 0; s + 1 < before.cu_seqlens.size(); ++s) {
    const int32_t begin = before.cu_seqlens[s], end = before.cu_seqlens[s + 1];
    for (int32_t t = begin; t < end; ++t) {
      const auto row = static_cast<size_t>(t);
      if (targets[row] < 0) continue;  // the last row of a sequence
      rows.push_back(t);
      ids.push_back(targets[row]);
      positions.push_back(t - begin);
      batch.targets.push_back(t + 1 < end ? targets[row + 1] : -1);
    }
    const auto kept = static_cast<int32_t>(rows.size());
    if (kept > batch.cu_seqlens.back()) batch.cu_seqlens.push_back(kept);
  }
  out.rows = upload(ctx, arena, "mtp.rows", rows);
  batch.ids = upload(ctx, arena, "mtp.ids", ids);
  batch.positions = upload(ctx, arena, "mtp.positions", positions);
  batch.cu_seqlens_tensor = upload(ctx, arena, "mtp.cu_seqlens", batch.cu_seqlens);
  return out;
}

void mtp_forward(Context& ctx, Arena& activations, const ModelConfig& config, MtpSaved& s,
                 Tensor before, const TokenBatch& before_batch, Tensor embed_tokens,
                 const MtpWeights& w) {
  const DType dtype = before.dtype;
  s.stream = make_mtp_batch(ctx, activations, before_batch);
  const TokenBatch& batch = s.stream.batch;
  const int64_t tokens = batch.tokens(), d = config.hidden_size;
  make_rope_env(ctx, activations, config, batch.positions, dtype, s.cos, s.sin);

  s.embedded = activations.tensor("mtp.embedded", dtype, {tokens, d});
  s.embedded_rstd = activations.tensor("mtp.embedded_rstd", stat_dtype(dtype), {tokens});
  s.previous = activations.tensor("mtp.previous", dtype, {tokens, d});
  s.previous_rstd = activations.tensor("mtp.previous_rstd", stat_dtype(dtype), {tokens});
  s.joined = activations.tensor("mtp.joined", dtype, {tokens, 2 * d});
  embedding_forward(ctx, s.embedded, embed_tokens, batch.ids);
  embedding_forward(ctx, s.previous, before, s.stream.rows);
  rms_norm_forward(ctx, s.joined.slice_cols(0, d), {s.embedded_rstd}, s.embedded, w.enorm,
                   config.rms_norm_eps);
  rms_norm_forward(ctx, s.joined.slice_cols(d, d), {s.previous_rstd}, s.previous, w.hnorm,
                   config.rms_norm_eps);

  ArenaScope scope(ctx.scratch);
  const Tensor stream =
      ctx.scratch.tensor("mtp.stream", stat_dtype(dtype), {tokens, d});  // [T', d]
  s.output = activations.tensor("mtp.output", dtype, {tokens, d});
  s.output_rstd = activations.tensor("mtp.output_rstd", stat_dtype(dtype), {tokens});
  s.hidden = activations.tensor("mtp.hidden", dtype, {tokens, d});
  linear_forward(ctx, stream, s.joined, w.eh_proj);
  const LayerEnv env{ctx, activations, config, batch.bounds(), s.cos, s.sin};
  block_forward(env, stream, &s.block, w.block);
  rms_norm_forward(ctx, s.hidden, {s.output_rstd, s.output}, stream, w.shared_head_norm,
                   config.rms_norm_eps);
}

void mtp_backward(Context& ctx, Arena& activations, const ModelConfig& config,
                  const MtpGrads& grads, const MtpWeights& dw, const MtpSaved& s,
                  const MtpWeights& w) {
  ArenaScope scope(ctx.scratch);
  const DType dtype = s.hidden.dtype;
  const int64_t tokens = s.hidden.rows(), d = config.hidden_size;
  LayerEnv env{ctx, activations, config, s.stream.batch.bounds(), s.cos, s.sin};
  env.fresh_weights = grads.fresh_weights;
  rms_norm_backward(ctx, {grads.doutput, env.grad(dw.shared_head_norm)}, grads.dhidden, s.output,
                    w.shared_head_norm, s.output_rstd);
  block_backward(env, grads.doutput, dw.block, s.block, w.block, grads.balance);

  Tensor djoined = ctx.scratch.tensor("mtp.djoined", dtype, {tokens, 2 * d});  // [T', 2d]
  Tensor dembedded = ctx.scratch.tensor("mtp.dembedded", dtype, {tokens, d});  // [T', d]
  Tensor dprevious = ctx.scratch.tensor("mtp.dprevious", dtype, {tokens, d});  // [T', d]
  linear_backward(ctx, {.dx = fresh(djoined), .dw = env.grad(dw.eh_proj)}, grads.doutput, s.joined,
                  w.eh_proj);
  rms_norm_backward(ctx, {fresh(dembedded), env.grad(dw.enorm)}, djoined.slice_cols(0, d),
                    s.embedded, w.enorm, s.embedded_rstd);
  rms_norm_backward(ctx, {fresh(dprevious), env.grad(dw.hnorm)}, djoined.slice_cols(d, d),
                    s.previous, w.hnorm, s.previous_rstd);
  embedding_backward(ctx, grads.dembed_tokens, dembedded, s.stream.batch.ids);
  scatter_rows_add(ctx, grads.dbefore, dprevious, s.stream.rows);
}

}  // namespace temper
