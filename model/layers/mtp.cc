#include "model/layers/mtp.h"

#include "model/layers/rope_env.h"
#include "model/ops/elementwise.h"
#include "model/ops/embedding.h"
#include "model/ops/linear.h"
#include "model/ops/rms_norm.h"

namespace temper {

MtpBatch make_mtp_batch(Arena& arena, const TokenBatch& before) {
  const int32_t* targets = before.targets.get<int32_t>();
  const int32_t* positions = before.positions.get<int32_t>();
  int64_t kept = 0;
  for (int64_t t = 0; t < before.tokens(); ++t) kept += targets[t] >= 0;
  MtpBatch out;
  out.rows = arena.tensor("mtp.rows", DType::i32, {kept});
  out.batch.ids = arena.tensor("mtp.ids", DType::i32, {kept});
  out.batch.positions = arena.tensor("mtp.positions", DType::i32, {kept});
  out.batch.targets = arena.tensor("mtp.targets", DType::i32, {kept});
  out.batch.cu_seqlens = {0};
  int32_t row = 0;
  for (int64_t s = 0; s < before.sequences(); ++s) {
    const int32_t end = before.cu_seqlens[static_cast<size_t>(s) + 1];
    for (int32_t t = before.cu_seqlens[static_cast<size_t>(s)]; t < end; ++t) {
      if (targets[t] < 0) continue;  // the last row of a sequence
      out.rows.get<int32_t>()[row] = t;
      out.batch.ids.get<int32_t>()[row] = targets[t];
      out.batch.positions.get<int32_t>()[row] = positions[t];
      out.batch.targets.get<int32_t>()[row] = t + 1 < end ? targets[t + 1] : -1;
      ++row;
    }
    if (row > out.batch.cu_seqlens.back()) out.batch.cu_seqlens.push_back(row);
  }
  return out;
}

void mtp_forward(Context& ctx, Arena& activations, const ModelConfig& config, MtpSaved& s,
                 Tensor before, const TokenBatch& before_batch, Tensor embed_tokens,
                 const MtpWeights& w) {
  const DType dtype = before.dtype;
  s.stream = make_mtp_batch(activations, before_batch);
  const TokenBatch& batch = s.stream.batch;
  const int64_t tokens = batch.tokens(), d = config.hidden_size;
  make_rope_env(ctx, activations, config, batch.positions, dtype, s.cos, s.sin);

  s.embedded = activations.tensor("mtp.embedded", dtype, {tokens, d});
  s.embedded_rstd = activations.tensor("mtp.embedded_rstd", dtype, {tokens});
  s.previous = activations.tensor("mtp.previous", dtype, {tokens, d});
  s.previous_rstd = activations.tensor("mtp.previous_rstd", dtype, {tokens});
  s.joined = activations.tensor("mtp.joined", dtype, {tokens, 2 * d});
  embedding_forward(ctx, s.embedded, embed_tokens, batch.ids);
  embedding_forward(ctx, s.previous, before, s.stream.rows);
  rms_norm_forward(ctx, s.joined.slice_cols(0, d), s.embedded_rstd, s.embedded, w.enorm,
                   config.rms_norm_eps);
  rms_norm_forward(ctx, s.joined.slice_cols(d, d), s.previous_rstd, s.previous, w.hnorm,
                   config.rms_norm_eps);

  Tensor x = activations.tensor("mtp.x", dtype, {tokens, d});  // [T', d]
  s.output = activations.tensor("mtp.output", dtype, {tokens, d});
  s.output_rstd = activations.tensor("mtp.output_rstd", dtype, {tokens});
  s.hidden = activations.tensor("mtp.hidden", dtype, {tokens, d});
  linear_forward(ctx, x, s.joined, w.eh_proj);
  const LayerEnv env{ctx, activations, config, batch.cu_seqlens, s.cos, s.sin};
  block_forward(env, s.output, &s.block, x, w.block);
  rms_norm_forward(ctx, s.hidden, s.output_rstd, s.output, w.shared_head_norm, config.rms_norm_eps);
}

void mtp_backward(Context& ctx, Arena& activations, const ModelConfig& config,
                  const MtpGrads& grads, const MtpWeights& dw, const MtpSaved& s,
                  const MtpWeights& w) {
  ArenaScope scope(ctx.scratch);
  const DType dtype = s.hidden.dtype;
  const int64_t tokens = s.hidden.rows(), d = config.hidden_size;
  rms_norm_backward(ctx, {grads.doutput, dw.shared_head_norm}, grads.dhidden, s.output,
                    w.shared_head_norm, s.output_rstd);
  const LayerEnv env{ctx, activations, config, s.stream.batch.cu_seqlens, s.cos, s.sin};
  block_backward(env, grads.doutput, dw.block, s.block, w.block, grads.balance_coefficient);

  Tensor djoined = ctx.scratch.tensor("mtp.djoined", dtype, {tokens, 2 * d});  // [T', 2d]
  Tensor dembedded = ctx.scratch.tensor("mtp.dembedded", dtype, {tokens, d});  // [T', d]
  Tensor dprevious = ctx.scratch.tensor("mtp.dprevious", dtype, {tokens, d});  // [T', d]
  for (Tensor t : {djoined, dembedded, dprevious}) fill_zero(ctx, t);
  linear_backward(ctx, {.dx = djoined, .dw = dw.eh_proj}, grads.doutput, s.joined, w.eh_proj);
  rms_norm_backward(ctx, {dembedded, dw.enorm}, djoined.slice_cols(0, d), s.embedded, w.enorm,
                    s.embedded_rstd);
  rms_norm_backward(ctx, {dprevious, dw.hnorm}, djoined.slice_cols(d, d), s.previous, w.hnorm,
                    s.previous_rstd);
  embedding_backward(ctx, grads.dembed_tokens, dembedded, s.stream.batch.ids);
  embedding_backward(ctx, grads.dbefore, dprevious, s.stream.rows);
}

}  // namespace temper
