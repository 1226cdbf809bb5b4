#include "model/decoder.h"

#include "core/device.h"
#include "model/layers/rope_env.h"
#include "model/ops/elementwise.h"
#include "model/ops/embedding.h"
#include "model/ops/rms_norm.h"
#include "model/ops/router.h"

namespace temper {
namespace {

// The part of layer l in a [MoE layers * rows, K] tensor; empty for a dense layer.
Tensor experts_of_layer(Tensor experts, int64_t rows, const ModelWeights& weights, size_t l) {
  if (experts.empty() || weights.layers[l].moe.gate.empty()) return {};
  int64_t before = 0;
  for (size_t i = 0; i < l; ++i) before += !weights.layers[i].moe.gate.empty();
  return experts.slice_rows(before * rows, rows);
}

// The environment of layer l, with what is replayed there.
LayerEnv layer_env(const LayerEnv& env, const ForwardOptions& options, const ModelWeights& weights,
                   size_t l) {
  LayerEnv layer = env;
  layer.routing = {.forced = experts_of_layer(options.experts, env.cos.rows(), weights, l),
                   .differing = options.differing,
                   .record = experts_of_layer(options.record, env.cos.rows(), weights, l)};
  if (options.cache != nullptr) {
    layer.cache = options.cache->layers[l];
    layer.slots = options.slots;
    layer.earlier = options.earlier;
  }
  return layer;
}

// With recompute a block keeps its input and, for the reports, its route; backward runs it again.
void run_block_for_recompute(const LayerEnv& env, Tensor stream, BlockSaved& saved,
                             const BlockWeights& w) {
  Arena& arena = env.activations;
  const int64_t tokens = stream.rows();
  saved.x = arena.tensor("decoder.x", stream.dtype, {tokens, stream.cols()});
  copy(env.ctx, saved.x, stream);
  if (w.moe.gate.empty()) return block_forward(env, stream, nullptr, w);
  const int64_t experts = w.moe.gate.dim(0);
  Tensor offsets = arena.tensor("moe.offsets", DType::i32, {experts + 1});
  Tensor scores = arena.tensor("moe.scores", stream.dtype, {tokens, experts});
  ArenaScope scope(arena);
  BlockSaved full;
  block_forward(env, stream, &full, w);
  copy(env.ctx, offsets, full.moe.plan.offsets);
  copy(env.ctx, scores, full.moe.route.scores);
  saved.moe.plan.offsets = offsets;
  saved.moe.route.scores = scores;
}

// saved: one a layer, or empty. The last norm goes to `last`.
void run_blocks(const LayerEnv& env, std::vector<BlockSaved>& saved, Tensor stream,
                const ModelWeights& weights, const ForwardOptions& options,
                const StreamNorm& last) {
  const size_t layers = weights.layers.size();
  const bool saving = !saved.empty();
  const double eps = env.config.rms_norm_eps;
  if (options.recompute && saving) {
    for (size_t l = 0; l < layers; ++l)
      run_block_for_recompute(layer_env(env, options, weights, l), stream, saved[l],
                              weights.layers[l]);
    rms_norm_forward(env.ctx, last.normed, {last.rstd, last.x}, stream, weights.norm, eps);
    return;
  }
  Arena& arena = env.arena(saving);
  const auto room = [&] { return make_stream_norm(arena, saving, stream, last.normed.dtype); };
  StreamNorm norm = layers > 0 ? room() : last;
  rms_norm_forward(env.ctx, norm.normed, {norm.rstd, norm.x}, stream,
                   layers > 0 ? weights.layers[0].input_layernorm : weights.norm, eps);
  for (size_t l = 0; l < layers; ++l) {
    NextNorm next{weights.norm, last};
    if (l + 1 < layers) next = {weights.layers[l + 1].input_layernorm, saving ? room() : norm};
    block_forward(layer_env(env, options, weights, l), stream, saving ? &saved[l] : nullptr,
                  weights.layers[l], norm, next);
    norm = next.to;
  }
}

}  // namespace

Tensor decoder_forward(Context& ctx, Arena& activations, DecoderSaved* saved,
                       const ModelWeights& weights, const ModelConfig& config,
                       const TokenBatch& batch, const ForwardOptions& options) {
  const DType dtype = weights.embed_tokens.dtype;
  const int64_t tokens = batch.tokens(), d = config.hidden_size;
  Tensor hidden = activations.tensor("decoder.hidden", dtype, {tokens, d});  // [T, d]
  ArenaScope scope(ctx.scratch);
  Arena& arena = saved != nullptr ? activations : ctx.scratch;

  Tensor cos, sin;
  make_rope_env(ctx, arena, config, batch.positions, dtype, cos, sin);
  const LayerEnv env{ctx, activations, config, batch.bounds(), cos, sin};
  const Tensor stream =
      ctx.scratch.tensor("decoder.stream", stat_dtype(dtype), {tokens, d});  // [T, d]
  embedding_forward(ctx, stream, weights.embed_tokens, batch.ids);
  std::vector<BlockSaved> none;
  if (saved == nullptr) {
    run_blocks(env, none, stream, weights, options, {hidden, {}, {}});
    return hidden;
  }
  *saved = DecoderSaved{};
  saved->options = options;
  saved->cos = cos;
  saved->sin = sin;
  saved->blocks.resize(weights.layers.size());
  saved->last = activations.tensor("decoder.last", dtype, {tokens, d});
  saved->last_rstd = activations.tensor("decoder.last_rstd", stat_dtype(dtype), {tokens});
  saved->hidden = hidden;
  run_blocks(env, saved->blocks, stream, weights, options, {hidden, saved->last, saved->last_rstd});

  if (options.mtp) saved->mtp.resize(weights.mtp.size());
  Tensor before = hidden;
  const TokenBatch* before_batch = &batch;
  for (size_t k = 0; k < saved->mtp.size(); ++k) {
    MtpSaved& module = saved->mtp[k];
    mtp_forward(ctx, activations, config, module, before, *before_batch, weights.embed_tokens,
                weights.mtp[k]);
    before = module.output;
    before_batch = &module.stream.batch;
  }
  return hidden;
}

namespace {

// Modules from the last to the first: each hands its gradient to the stream before it.
void backward_mtp(Context& ctx, Arena& activations, ModelWeights& weight_grads,
                  const DecoderGrads& grads, const DecoderSaved& saved, const ModelWeights& weights,
                  const ModelConfig& config) {
  ArenaScope scope(ctx.scratch);
  std::vector<Tensor> doutput;  // [T', d]  of each module
  for (const MtpSaved& module : saved.mtp) {
    doutput.push_back(ctx.scratch.tensor("mtp.doutput", module.output.dtype,
                                         {module.output.rows(), module.output.cols()}));
    fill_zero(ctx, doutput.back());
  }
  for (size_t k = saved.mtp.size(); k-- > 0;) {
    const Tensor dbefore = k == 0 ? grads.dhidden : doutput[k - 1];
    mtp_backward(ctx, activations, config,
                 {dbefore, weight_grads.embed_tokens, grads.dmtp_hidden[k], doutput[k],
                  grads.balance, grads.fresh_weights},
                 weight_grads.mtp[k], saved.mtp[k], weights.mtp[k]);
  }
}

}  // namespace

void decoder_backward(Context& ctx, Arena& activations, ModelWeights& weight_grads,
                      const DecoderGrads& grads, const DecoderSaved& saved,
                      const ModelWeights& weights, const ModelConfig& config,
                      const TokenBatch& batch) {
  require(grads.dmtp_hidden.size() == saved.mtp.size(), "a gradient for each MTP module that ran");
  backward_mtp(ctx, activations, weight_grads, grads, saved, weights, config);

  ArenaScope scope(ctx.scratch);
  LayerEnv env{ctx, activations, config, batch.bounds(), saved.cos, saved.sin};
  env.fresh_weights = grads.fresh_weights;
  env.squares = grads.squares;
  Tensor dx =
      ctx.scratch.tensor("decoder.dx", saved.hidden.dtype, {batch.tokens(), config.hidden_size});
  rms_norm_backward(ctx, {fresh(dx), env.grad(weight_grads.norm)}, grads.dhidden, saved.last,
                    weights.norm, saved.last_rstd);
  for (size_t l = weights.layers.size(); l-- > 0;) {
    ArenaScope recompute_scope(activations);
    BlockSaved again;
    const BlockSaved* block = &saved.blocks[l];
    if (saved.options.recompute) {
      const Tensor stream =
          activations.tensor("decoder.stream", block->x.dtype, {dx.rows(), dx.cols()});  // [T, d]
      copy(ctx, stream, block->x);
      ForwardOptions options = saved.options;
      options.differing = {};  // counted the first time
      block_forward(layer_env(env, options, weights, l), stream, &again, weights.layers[l]);
      block = &again;
    }
    block_backward(env, dx, weight_grads.layers[l], *block, weights.layers[l], grads.balance);
  }
  embedding_backward(ctx, weight_grads.embed_tokens, dx, batch.ids);
}

int64_t count_moe_layers(const ModelWeights& weights) {
  int64_t count = 0;
  for (const BlockWeights& block : weights.layers) count += !block.moe.gate.empty();
  return count;
}

int64_t count_moe_layers_with_mtp(const ModelWeights& weights) {
  int64_t count = count_moe_layers(weights);
  for (const MtpWeights& module : weights.mtp) count += !module.block.moe.gate.empty();
  return count;
}

void add_expert_load(Context& ctx, Tensor load, const DecoderSaved& saved) {
  std::vector<Tensor> offsets;
  const auto visit = [&](const BlockSaved& block) {
    if (!block.moe.plan.offsets.empty()) offsets.push_back(block.moe.plan.offsets);
  };
  for (const BlockSaved& block : saved.blocks) visit(block);
  for (const MtpSaved& module : saved.mtp) visit(module.block);
  if (!offsets.empty())
    count_rows(ctx, load.slice_rows(0, static_cast<int64_t>(offsets.size())), offsets);
}

Tensor decoder_decode(Context& ctx, Arena& scratch, const ModelWeights& weights,
                      const ModelConfig& config, const DecodeBatch& batch, KvCache& cache) {
  const DType dtype = weights.embed_tokens.dtype;
  const int64_t rows = batch.ids.numel(), d = config.hidden_size;
  Tensor hidden = scratch.tensor("decoder.hidden", dtype, {rows, d});  // [N, d]
  ArenaScope scope(ctx.scratch);
  Tensor cos, sin;
  make_rope_env(ctx, ctx.scratch, config, batch.positions, dtype, cos, sin);
  const Tensor stream =
      ctx.scratch.tensor("decoder.stream", stat_dtype(dtype), {rows, d});  // [N, d]
  embedding_forward(ctx, stream, weights.embed_tokens, batch.ids);
  const size_t layers = weights.layers.size();
  const Tensor normed = ctx.scratch.tensor("decoder.normed", dtype, {rows, d});  // [N, d]
  rms_norm_forward(ctx, layers > 0 ? normed : hidden, {}, stream,
                   layers > 0 ? weights.layers[0].input_layernorm : weights.norm,
                   config.rms_norm_eps);
  for (size_t l = 0; l < layers; ++l) {
    const Routing routing{.record = experts_of_layer(batch.experts, rows, weights, l)};
    const DecodeEnv env{ctx, config, cos, sin, batch.slots, batch.rows, cache.layers[l], routing};
    NextNorm next{weights.norm, {hidden, {}, {}}};
    if (l + 1 < layers) next = {weights.layers[l + 1].input_layernorm, {normed, {}, {}}};
    block_decode(env, stream, weights.layers[l], normed, next);
  }
  return hidden;
}

}  // namespace temper
