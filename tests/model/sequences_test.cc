// Training form = decode form at every position, and sequences of a batch that never meet.
#include <vector>

#include "model/decoder.h"
#include "model/layers/kv_cache.h"
#include "model/layers/rope_env.h"
#include "model/training/train_step.h"
#include "sft/loss.h"
#include "tests/model/ops/op_test.h"
#include "tests/support/small_models.h"

using namespace temper;
using test::relative_difference;
using test::same_bits;

namespace {

// Attention of layer 1 over one sequence, whole and token by token (or in two chunks) over a cache
// whose blocks lie in another order than the tokens.
void check_decode(const ModelConfig& config) {
  constexpr int64_t kTokens = 11, kBlock = 3;
  Context ctx(2);
  Arena arena;
  test::Tensors t;
  const OwnedWeights weights = random_weights(config, DType::f64, 3);
  const BlockWeights& w = weights.view.layers[1];
  const Tensor x = t.normal(DType::f64, {kTokens, config.hidden_size});
  const Tensor whole = t.poisoned(DType::f64, {kTokens, config.hidden_size});
  const bool mla = config.attention == AttentionKind::mla;
  std::vector<int32_t> positions(kTokens), slots(kTokens);
  const std::vector<int32_t> blocks{5, 0, 3, 2};
  for (int32_t p = 0; p < kTokens; ++p) {
    positions[static_cast<size_t>(p)] = p;
    slots[static_cast<size_t>(p)] = blocks[static_cast<size_t>(p / kBlock)] * kBlock + p % kBlock;
  }
  Tensor cos, sin;
  make_rope_env(ctx, arena, config, t.ints({kTokens}, positions), DType::f64, cos, sin);
  const std::vector<int32_t> cu_seqlens{0, kTokens};
  const LayerEnv env{ctx, arena, config, cu_seqlens, cos, sin};
  copy(ctx, whole, x);
  if (mla) mla_forward(env, whole, nullptr, x, w.mla);
  if (!mla) gqa_forward(env, whole, nullptr, x, w.gqa);

  for (const int64_t chunk : {int64_t{1}, int64_t{4}, kTokens}) {
    KvCache cache = allocate_kv_cache(config, 6, kBlock, DType::f64);
    test::fill_constant(cache.layers[1], std::nan(""));  // what was not written must not be read
    for (int64_t begin = 0; begin < kTokens; begin += chunk) {
      const int64_t n = std::min(chunk, kTokens - begin);
      std::vector<int32_t> context, row_slots;
      for (int64_t i = begin; i < begin + n; ++i) {
        context.push_back(static_cast<int32_t>(i + 1));
        row_slots.push_back(slots[static_cast<size_t>(i)]);
      }
      const PagedRows rows{t.ints({1, 4}, blocks),
                           t.ints({n}, std::vector<int32_t>(context.size())), t.ints({n}, context)};
      const DecodeEnv decode{ctx,
                             config,
                             cos.slice_rows(begin, n),
                             sin.slice_rows(begin, n),
                             t.ints({n}, row_slots),
                             rows,
                             cache.layers[1]};
      const Tensor y = t.copy_of(x.slice_rows(begin, n));
      if (mla) mla_decode(decode, y, x.slice_rows(begin, n), w.mla);
      if (!mla) gqa_decode(decode, y, x.slice_rows(begin, n), w.gqa);
      INFO("positions from " << begin << ", " << n << " at a time");
      CHECK(relative_difference(y, whole.slice_rows(begin, n)) < 1e-10);
    }
  }
}

using Ids = std::vector<std::vector<int32_t>>;

struct Outputs {
  Tensor hidden, mtp;
};
Outputs outputs_of(Context& ctx, Arena& arena, const OwnedWeights& weights,
                   const ModelConfig& config, const Ids& ids) {
  const TokenBatch batch = make_batch(ctx, arena, ids);
  DecoderSaved saved;
  Outputs out;
  out.hidden = decoder_forward(ctx, arena, &saved, weights.view, config, batch, {.mtp = true});
  if (!saved.mtp.empty()) out.mtp = saved.mtp[0].hidden;
  return out;
}

void check_isolated(const ModelConfig& config, DType dtype) {
  Context ctx(2);
  Arena arena;
  const OwnedWeights weights = random_weights(config, dtype, 3);
  const Ids ids{random_ids(6, config.vocab_size, 1), random_ids(9, config.vocab_size, 2),
                random_ids(4, config.vocab_size, 3)};
  const Outputs a = outputs_of(ctx, arena, weights, config, ids);
  Ids other = ids;
  for (int32_t& id : other[1]) id = (id + 5) % static_cast<int32_t>(config.vocab_size);
  const Outputs b = outputs_of(ctx, arena, weights, config, other);
  CHECK_FALSE(same_bits(a.hidden.slice_rows(6, 9), b.hidden.slice_rows(6, 9)));
  CHECK(same_bits(a.hidden.slice_rows(0, 6), b.hidden.slice_rows(0, 6)));
  CHECK(same_bits(a.hidden.slice_rows(15, 4), b.hidden.slice_rows(15, 4)));
  if (!a.mtp.empty()) {
    CHECK(same_bits(a.mtp.slice_rows(0, 5), b.mtp.slice_rows(0, 5)));
    CHECK(same_bits(a.mtp.slice_rows(13, 3), b.mtp.slice_rows(13, 3)));
  }
  // Nor does it matter whether the neighbour is there, or where in the batch a sequence lies.
  const Outputs alone = outputs_of(ctx, arena, weights, config, {ids[2]});
  CHECK(same_bits(alone.hidden, a.hidden.slice_rows(15, 4)));
  const Outputs turned = outputs_of(ctx, arena, weights, config, {ids[2], ids[0], ids[1]});
  CHECK(same_bits(turned.hidden.slice_rows(0, 4), a.hidden.slice_rows(15, 4)));
  CHECK(same_bits(turned.hidden.slice_rows(10, 9), a.hidden.slice_rows(6, 9)));
}

}  // namespace

TEST_CASE("sequences: MLA expanded = MLA absorbed at every position") {
  ModelConfig config = small_v3_config();
  check_decode(config);
  config.q_lora_rank = 0;
  config.v_head_dim = 5;
  check_decode(config);
}

TEST_CASE("sequences: GQA over packed rows = GQA over the cache at every position") {
  ModelConfig config = small_gqa_config();
  check_decode(config);
  config.qkv_bias = config.o_bias = config.qk_norm = false;
  config.num_key_value_heads = 1;
  check_decode(config);
}

TEST_CASE("sequences: a packed neighbour changes no bit of another's output") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    check_isolated(small_v3_config(), dtype);
    check_isolated(small_gqa_config(), dtype);
  }
}

TEST_CASE("sequences: a token changes nothing before it") {
  for (const ModelConfig& config : {small_v3_config(), small_gqa_config()}) {
    Context ctx(2);
    Arena arena;
    const OwnedWeights weights = random_weights(config, DType::f32, 3);
    Ids ids{random_ids(12, config.vocab_size, 1)};
    const Outputs a = outputs_of(ctx, arena, weights, config, ids);
    ids[0][7] = (ids[0][7] + 1) % static_cast<int32_t>(config.vocab_size);
    const Outputs b = outputs_of(ctx, arena, weights, config, ids);
    CHECK(same_bits(a.hidden.slice_rows(0, 7), b.hidden.slice_rows(0, 7)));
    CHECK_FALSE(same_bits(a.hidden.slice_rows(8, 1), b.hidden.slice_rows(8, 1)));
  }
}

TEST_CASE("sequences: too short for MTP they train all the same") {
  ModelConfig config = small_v3_config();
  config.num_nextn_predict_layers = 2;
  Context ctx(2);
  for (const std::vector<int64_t>& lengths :
       {std::vector<int64_t>{1, 1}, {2, 1}, {2, 2}, {3, 1, 2}}) {
    OwnedWeights weights = random_weights(config, DType::f64, 3);
    TrainOptions options;
    options.mtp_weight = 0.5;
    options.balance_alpha = 0.1;
    TrainStep step(ctx, config, weights, options);
    std::vector<TrainSequence> sequences;
    for (int64_t length : lengths)
      sequences.push_back({random_ids(length, config.vocab_size, 8),
                           std::vector<uint8_t>(static_cast<size_t>(length), 1)});
    const GlobalCounts counts = count_global(sequences, 2);
    step.begin(counts);
    step.accumulate(sequences, [&](TokenLoss& tokens) { sft_loss(tokens, sequences, 10.0); });
    const StepReport report = step.finish(1e-3);
    CHECK(std::isfinite(report.grad_norm));
    CHECK((report.mtp_loss > 0.0) == (counts.mtp_targets > 0));
  }
}
