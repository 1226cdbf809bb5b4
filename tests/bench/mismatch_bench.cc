// Where rollout and trainer part in 16 bits, layer by layer, on the same tokens:
//   build/bench_mismatch MODEL_DIR DEVICE [SEQUENCES [TOKENS [bf16|f16]]]
// (On the CPU, which computes in f32, all of it shows the order of summation alone.)
// The model writes SEQUENCES texts of TOKENS tokens. First their log-probabilities as they were
// drawn against the trainer's, and both against f32 with the same (rounded) weights. Then, after
// each attention and each feed-forward, the residual stream of the packed forward pass (P), of
// decoding over the cache (D) and of the packed pass in f32 (F): |D - P|, |P - F| and |D - F|, and
// |D - P| of this half layer alone, both given P's stream. Each row counts relative to its own |F|;
// shown are root mean squares over the rows. `outlier` is a row's largest number in units of its
// root mean square, of the median row.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/narrow_float.h"
#include "model/checkpoint/hf_folder.h"
#include "model/checkpoint/transfer.h"
#include "model/layers/block.h"
#include "model/layers/kv_cache.h"
#include "model/layers/rope_env.h"
#include "model/ops/elementwise.h"
#include "model/ops/embedding.h"
#include "model/ops/rms_norm.h"
#include "rollout/engine.h"
#include "rollout/score.h"
#include "tests/bench/bench_main.h"

using namespace temper;

namespace {

using Ids = std::vector<std::vector<int32_t>>;

struct Model {
  ModelConfig config;
  OwnedWeights narrow, wide;  // the same numbers
};

Model load(Context& ctx, const char* dir, DType narrow) {
  Context host(0);
  LoadedModel loaded = load_model(host, dir, DType::f32);
  const Tensor all = loaded.weights.storage.view;
  for (int64_t i = 0; i < all.numel(); ++i) {
    float& x = all.get<float>()[i];
    x = narrow == DType::f16 ? from_f16(to_f16(x)) : from_bf16(to_bf16(x));
  }
  const DType dtype = ctx.device == Device::cpu ? DType::f32 : narrow;
  return {loaded.config, weights_on_device(ctx, loaded.weights, loaded.config, dtype),
          weights_on_device(ctx, loaded.weights, loaded.config, DType::f32)};
}

// Where a text begins.
int32_t first_id(const ModelConfig& config) {
  return static_cast<int32_t>(std::max<int64_t>(1, config.bos_token_id));
}

// ---- Log-probabilities
// ---------------------------------------------------------------------------

RolloutOutput generate(Context& ctx, const Model& model, int64_t sequences, int64_t tokens) {
  std::vector<RolloutRequest> requests(static_cast<size_t>(sequences));
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].prompt = {first_id(model.config)};
    requests[i].max_new_tokens = tokens - 1;
    requests[i].key = {.seed = 3, .prompt = static_cast<uint32_t>(i)};
  }
  RolloutEngine engine(ctx, model.narrow.view, model.config, {.max_samples = sequences});
  return engine.run(requests);
}

struct Gap {
  double sum = 0.0, kl = 0.0, most = 0.0;
  int64_t count = 0;
  void add(double trainer, double rollout) {
    const double gap = trainer - rollout;
    sum += std::abs(gap), kl += std::exp(gap) - 1.0 - gap, ++count;
    most = std::max(most, std::abs(gap));
  }
  void print(const char* name) const {
    const auto n = static_cast<double>(count);
    std::printf("%-22s mean %.2e nats, KL %.2e, largest %.2e\n", name, sum / n, kl / n, most);
  }
};

void compare_logprobs(Context& ctx, const Model& model, const Ids& ids, const RolloutOutput& out) {
  const auto narrow = score_sequences(ctx, model.narrow.view, model.config, ids);
  const auto wide = score_sequences(ctx, model.wide.view, model.config, ids);
  Gap trainer_rollout, f32_rollout, f32_trainer;
  for (size_t s = 0; s < ids.size(); ++s) {
    for (size_t t = 1; t < ids[s].size(); ++t) {
      const double rollout = out.samples[s][0].logprobs[t - 1];
      trainer_rollout.add(narrow[s][t], rollout);
      f32_rollout.add(wide[s][t], rollout);
      f32_trainer.add(wide[s][t], narrow[s][t]);
    }
  }
  trainer_rollout.print("trainer and rollout:");
  f32_rollout.print("f32 and rollout:");
  f32_trainer.print("f32 and trainer:");
}

// ---- Half layers
// ---------------------------------------------------------------------------------

Tensor normed(Context& ctx, Tensor stream, Tensor weight, const ModelConfig& config) {
  const Tensor out =
      ctx.scratch.tensor("bench.normed", weight.dtype, {stream.rows(), stream.cols()});
  rms_norm_forward(ctx, out, {}, stream, weight, config.rms_norm_eps);
  return out;
}

void feed_forward(const LayerEnv& env, Tensor stream, const BlockWeights& w) {
  ArenaScope scope(env.ctx.scratch);
  const Tensor x = normed(env.ctx, stream, w.post_attention_layernorm, env.config);
  if (w.moe.gate.empty()) return mlp_forward(env, stream, nullptr, x, w.mlp);
  moe_forward(env, stream, nullptr, x, w.moe);
}

void attention(const LayerEnv& env, Tensor stream, const BlockWeights& w) {
  ArenaScope scope(env.ctx.scratch);
  const Tensor x = normed(env.ctx, stream, w.input_layernorm, env.config);
  if (env.config.attention == AttentionKind::gqa)
    return gqa_forward(env, stream, nullptr, x, w.gqa);
  mla_forward(env, stream, nullptr, x, w.mla);
}

void attention(const DecodeEnv& env, Tensor stream, const BlockWeights& w) {
  ArenaScope scope(env.ctx.scratch);
  const Tensor x = normed(env.ctx, stream, w.input_layernorm, env.config);
  if (env.config.attention == AttentionKind::gqa) return gqa_decode(env, stream, x, w.gqa);
  mla_decode(env, stream, x, w.mla);
}

// The streams after each half layer, [S * L, d] each, sequence by sequence; the first is embedded.
using Streams = std::vector<OwnedTensor>;

Streams packed(Context& ctx, const ModelWeights& weights, const ModelConfig& config,
               const Ids& ids) {
  Arena arena(ctx.device);
  ArenaScope scope(ctx.scratch);
  const TokenBatch batch = make_batch(ctx, arena, ids);
  const DType dtype = weights.embed_tokens.dtype;
  Tensor cos, sin;
  make_rope_env(ctx, arena, config, batch.positions, dtype, cos, sin);
  const LayerEnv env{ctx, arena, config, batch.bounds(), cos, sin};
  const Tensor stream =
      arena.tensor("bench.stream", stat_dtype(dtype), {batch.tokens(), config.hidden_size});
  embedding_forward(ctx, stream, weights.embed_tokens, batch.ids);
  Streams out;
  out.push_back(to_host(ctx, stream));
  for (const BlockWeights& w : weights.layers) {
    attention(env, stream, w);
    out.push_back(to_host(ctx, stream));
    feed_forward(env, stream, w);
    out.push_back(to_host(ctx, stream));
  }
  return out;
}

// Decoding position by position, all sequences at once. With `given`, each half layer starts from
// that stream instead of what the half layer before has left.
Streams decoded(Context& ctx, const ModelWeights& weights, const ModelConfig& config,
                const Ids& ids, const Streams* given) {
  constexpr int64_t kBlock = 16;
  const auto sequences = static_cast<int64_t>(ids.size());
  const auto length = static_cast<int64_t>(ids[0].size()), d = config.hidden_size;
  const int64_t blocks = (length + kBlock - 1) / kBlock;
  const DType dtype = weights.embed_tokens.dtype;
  KvCache cache = allocate_kv_cache(config, sequences * blocks, kBlock, dtype, ctx.device);
  Streams out;
  for (size_t i = 0; i < 2 * weights.layers.size() + 1; ++i)
    out.push_back(allocate(DType::f32, {sequences * length, d}));
  std::vector<int32_t> table(static_cast<size_t>(sequences * blocks)), rows;
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<int32_t>(i);
  for (int32_t s = 0; s < sequences; ++s) rows.push_back(s);
  for (int64_t t = 0; t < length; ++t) {
    ArenaScope scope(ctx.scratch);
    std::vector<int32_t> id, position, slot, context;
    for (int64_t s = 0; s < sequences; ++s) {
      id.push_back(ids[static_cast<size_t>(s)][static_cast<size_t>(t)]);
      position.push_back(static_cast<int32_t>(t));
      slot.push_back(static_cast<int32_t>(s * blocks * kBlock + t));
      context.push_back(static_cast<int32_t>(t + 1));
    }
    const auto up = [&](const std::vector<int32_t>& numbers) {
      return upload(ctx, ctx.scratch, "bench.ints", std::span<const int32_t>(numbers));
    };
    const PagedRows paged{up(table).reshape({sequences, blocks}), up(rows), up(context)};
    Tensor cos, sin;
    make_rope_env(ctx, ctx.scratch, config, up(position), dtype, cos, sin);
    const Tensor slots = up(slot);
    const Tensor stream = ctx.scratch.tensor("bench.stream", stat_dtype(dtype), {sequences, d});
    embedding_forward(ctx, stream, weights.embed_tokens, up(id));
    // This position's rows of a host stream.
    const auto keep = [&](size_t half) {
      const OwnedTensor now = to_host(ctx, stream);
      for (int64_t s = 0; s < sequences; ++s)
        std::copy_n(now.view.row<float>(s), d, out[half].view.row<float>(s * length + t));
    };
    const auto start_from = [&](size_t half) {
      if (given == nullptr) return;
      const OwnedTensor host = allocate(DType::f32, {sequences, d});
      for (int64_t s = 0; s < sequences; ++s)
        std::copy_n((*given)[half].view.row<float>(s * length + t), d, host.view.row<float>(s));
      copy_bytes(ctx, stream.data, ctx.device, host.view.data, Device::cpu, host.buffer.bytes());
    };
    keep(0);
    for (size_t l = 0; l < weights.layers.size(); ++l) {
      const DecodeEnv env{ctx, config, cos, sin, slots, paged, cache.layers[l]};
      const LayerEnv dense{ctx, ctx.scratch, config, {}, {}, {}};
      start_from(2 * l);
      attention(env, stream, weights.layers[l]);
      keep(2 * l + 1);
      start_from(2 * l + 1);
      feed_forward(dense, stream, weights.layers[l]);
      keep(2 * l + 2);
    }
  }
  return out;
}

// The root mean square over the rows of |a - b| / |f|, each row by its own.
double distance(const Tensor& a, const Tensor& b, const Tensor& f) {
  double sum = 0.0;
  for (int64_t i = 0; i < a.rows(); ++i) {
    double apart = 0.0, whole = 0.0;
    for (int64_t j = 0; j < a.cols(); ++j) {
      apart += std::pow(a.row<float>(i)[j] - b.row<float>(i)[j], 2.0);
      whole += std::pow(f.row<float>(i)[j], 2.0);
    }
    sum += apart / whole;
  }
  return std::sqrt(sum / static_cast<double>(a.rows()));
}

// The largest number of each row, in units of the row's root mean square: the median row's.
double outlier(const Tensor& f) {
  std::vector<double> all;
  for (int64_t i = 0; i < f.rows(); ++i) {
    double most = 0.0, sum = 0.0;
    for (int64_t j = 0; j < f.cols(); ++j) {
      const double x = std::abs(static_cast<double>(f.row<float>(i)[j]));
      most = std::max(most, x), sum += x * x;
    }
    all.push_back(most / std::sqrt(sum / static_cast<double>(f.cols())));
  }
  std::nth_element(all.begin(), all.begin() + static_cast<int64_t>(all.size()) / 2, all.end());
  return all[all.size() / 2];
}

void compare_layers(Context& ctx, const Model& model, const Ids& ids) {
  const ModelConfig& config = model.config;
  const Streams p = packed(ctx, model.narrow.view, config, ids);
  const Streams f = packed(ctx, model.wide.view, config, ids);
  const Streams d = decoded(ctx, model.narrow.view, config, ids, nullptr);
  const Streams alone = decoded(ctx, model.narrow.view, config, ids, &p);
  std::printf("%-14s %9s %9s %9s %9s %9s\n", "after", "outlier", "D - P", "alone", "P - F",
              "D - F");
  for (size_t i = 0; i < p.size(); ++i) {
    const Tensor reference = f[i].view, trainer = p[i].view;
    const std::string name =
        i == 0 ? "embedding"
               : std::to_string((i - 1) / 2) + (i % 2 == 1 ? " attention" : " feed-fwd");
    std::printf("%-14s %9.1f %9.2e %9.2e %9.2e %9.2e\n", name.c_str(), outlier(reference),
                distance(d[i].view, trainer, reference),
                distance(alone[i].view, trainer, reference),
                distance(trainer, reference, reference), distance(d[i].view, reference, reference));
  }
}

int run(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr,
                 "usage: bench_mismatch MODEL_DIR cpu|cuda [SEQUENCES [TOKENS [bf16|f16]]]\n");
    return 2;
  }
  const auto number = [&](int i, int64_t otherwise) {
    return argc > i ? std::strtoll(argv[i], nullptr, 10) : otherwise;
  };
  const int64_t sequences = number(3, 32), tokens = number(4, 128);
  Context ctx(0, device_of(argv[2]));
  const bool f16 = argc > 5 && std::string(argv[5]) == "f16";
  const Model model = load(ctx, argv[1], f16 ? DType::f16 : DType::bf16);
  const RolloutOutput output = generate(ctx, model, sequences, tokens);
  Ids ids;
  for (const std::vector<SampleResult>& samples : output.samples) {
    std::vector<int32_t>& sequence = ids.emplace_back();
    sequence.push_back(first_id(model.config));
    sequence.insert(sequence.end(), samples[0].ids.begin(), samples[0].ids.end());
  }
  compare_logprobs(ctx, model, ids, output);
  compare_layers(ctx, model, ids);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::main_of(run, argc, argv);
}
