// Every layer alone: its gradient against central differences in f64, saving or not, adding.
#include <functional>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "model/layers/lm_head.h"
#include "model/layers/rope_env.h"
#include "model/layers/score_head.h"
#include "tests/model/ops/op_test.h"
#include "tests/support/balance_loss.h"
#include "tests/support/small_models.h"

using namespace temper;
using test::check_gradient;
using test::dot_all;
using test::relative_difference;
using test::same_bits;

namespace {

constexpr double kTolerance = 1e-7;  // the issue asks for 1e-6
constexpr double kStep = 2e-4;       // small enough that no expert changes hands on the way

// One layer of a small model on three packed sequences.
struct Bench {
  ModelConfig config;
  Context ctx{2};
  Arena activations;
  test::Tensors tensors;
  OwnedWeights weights, grads;
  std::vector<int32_t> cu_seqlens{0, 5, 6, 13};
  Tensor x, residual, y, dy, dx, cos, sin;

  explicit Bench(const ModelConfig& c)
      : config(c),
        weights(random_weights(config, DType::f64, 7)),
        grads(allocate_weights(config, DType::f64)) {
    const int64_t tokens = cu_seqlens.back(), d = config.hidden_size;
    x = tensors.normal(DType::f64, {tokens, d});
    dy = tensors.normal(DType::f64, {tokens, d});
    residual = tensors.normal(DType::f64, {tokens, d});
    y = tensors.poisoned(DType::f64, {tokens, d});
    dx = tensors.zeros(DType::f64, {tokens, d});
    std::vector<int32_t> positions;
    for (size_t s = 0; s + 1 < cu_seqlens.size(); ++s)
      for (int32_t p = 0; p < cu_seqlens[s + 1] - cu_seqlens[s]; ++p) positions.push_back(p);
    make_rope_env(ctx, tables, config, tensors.ints({tokens}, positions), DType::f64, cos, sin);
  }
  LayerEnv env() { return {ctx, activations, config, cu_seqlens, cos, sin}; }
  // The stream that a layer adds to.
  Tensor begin(Tensor y) {
    copy(ctx, y, residual);
    return y;
  }

  Arena tables;
};

// forward(y, save) writes y and, with save, keeps what backward() then uses; backward() adds into
// the bench's dx and gradients; extra() is a part of the loss besides y.dy. The layer's weights
// are those whose name starts with `prefix`.
struct LayerCalls {
  std::function<void(Tensor y, bool save)> forward;
  std::function<void()> backward;
  std::function<double()> extra = [] { return 0.0; };
};

void check_layer(Bench& b, const std::string& prefix, const LayerCalls& calls) {
  const Tensor unsaved = b.tensors.poisoned(DType::f64, {b.y.rows(), b.y.cols()});
  calls.forward(unsaved, false);
  calls.forward(b.y, true);
  REQUIRE(same_bits(unsaved, b.y));
  calls.backward();
  const auto loss = [&] {
    b.activations.reset();
    calls.forward(b.y, true);
    return dot_all(b.y, b.dy) + calls.extra();
  };
  // Gradients are kept aside: the loss is evaluated with the same saved tensors.
  const Tensor dx = b.tensors.copy_of(b.dx);
  const Tensor all = b.tensors.copy_of(b.grads.storage.view);
  const auto input = check_gradient(b.x, dx, loss, 100, kStep);
  INFO("dx: " << input.where);
  CHECK(input.relative < kTolerance);

  const auto weights = tensors_of(b.weights.view, b.config);
  const auto grads = tensors_of(b.grads.view, b.config);
  int checked = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i].role == TensorRole::router_bias) continue;
    INFO(weights[i].name);
    if (weights[i].name.rfind(prefix, 0) != 0) {
      CHECK(dot_all(*grads[i].tensor, *grads[i].tensor) == 0.0);  // none of this layer's business
      continue;
    }
    const auto error = check_gradient(*weights[i].tensor, *grads[i].tensor, loss, 60, kStep);
    INFO(error.where);
    CHECK(error.relative < kTolerance);
    ++checked;
  }
  CHECK(checked >= 2);

  loss();
  calls.backward();  // a second time: gradients add
  CHECK(relative_difference(b.dx, b.tensors.doubled(dx)) < 1e-13);
  CHECK(relative_difference(b.grads.storage.view, b.tensors.doubled(all)) < 1e-13);
}

void check_mla(const ModelConfig& config) {
  Bench b(config);
  MlaSaved saved;
  const MlaWeights& w = b.weights.view.layers[1].mla;
  check_layer(b, "model.layers.1.self_attn.",
              {[&](Tensor y, bool save) {
                 mla_forward(b.env(), b.begin(y), save ? &saved : nullptr, b.x, w);
               },
               [&] { mla_backward(b.env(), b.dx, b.grads.view.layers[1].mla, b.dy, saved, w); }});
}

void check_gqa(const ModelConfig& config) {
  Bench b(config);
  GqaSaved saved;
  const GqaWeights& w = b.weights.view.layers[1].gqa;
  check_layer(b, "model.layers.1.self_attn.",
              {[&](Tensor y, bool save) {
                 gqa_forward(b.env(), b.begin(y), save ? &saved : nullptr, b.x, w);
               },
               [&] { gqa_backward(b.env(), b.dx, b.grads.view.layers[1].gqa, b.dy, saved, w); }});
}

void check_moe(const ModelConfig& config, double balance) {
  Bench b(config);
  MoeSaved saved;
  const MoeWeights& w = b.weights.view.layers[2].moe;
  const RouterParams params = router_params(b.config);
  check_layer(b, "model.layers.2.mlp.",
              {[&](Tensor y, bool save) {
                 moe_forward(b.env(), b.begin(y), save ? &saved : nullptr, b.x, w);
               },
               [&] {
                 const int64_t rows = saved.plan.token_of.numel();
                 const Tensor chosen = b.tensors.poisoned(DType::f64, {rows, b.x.cols()});
                 moe_backward(b.env(), {b.dx, chosen}, b.grads.view.layers[2].moe, b.dy, saved, w,
                              {balance});
                 gather_rows_backward(b.ctx, b.dx, chosen, saved.plan.row_of);
               },
               [&] {
                 return balance *
                        test::balance_loss(b.ctx, saved.route.scores, b.cu_seqlens, params);
               }});
}

void check_block(const ModelConfig& config, size_t layer, double balance) {
  Bench b(config);
  BlockSaved saved;
  const BlockWeights& w = b.weights.view.layers[layer];
  check_layer(b, "model.layers." + std::to_string(layer) + ".",
              {[&](Tensor y, bool save) {
                 copy(b.ctx, y, b.x);
                 block_forward(b.env(), y, save ? &saved : nullptr, w);
               },
               [&] {
                 // block_backward turns dy into dx in place; the harness wants an addition.
                 const Tensor d = b.tensors.copy_of(b.dy);
                 block_backward(b.env(), d, b.grads.view.layers[layer], saved, w, {balance});
                 for (int64_t i = 0; i < d.numel(); ++i)
                   b.dx.get<double>()[i] += d.get<double>()[i];
               },
               [&] {
                 return balance == 0.0
                            ? 0.0
                            : balance * test::balance_loss(b.ctx, saved.moe.route.scores,
                                                           b.cu_seqlens, router_params(b.config));
               }});
}

}  // namespace

TEST_CASE("layers: gradient of the dense feed-forward in f64") {
  Bench b(small_v3_config());
  MlpSaved saved;
  const MlpWeights& w = b.weights.view.layers[0].mlp;
  check_layer(b, "model.layers.0.mlp.",
              {[&](Tensor y, bool save) {
                 mlp_forward(b.env(), b.begin(y), save ? &saved : nullptr, b.x, w);
               },
               [&] { mlp_backward(b.env(), b.dx, b.grads.view.layers[0].mlp, b.dy, saved, w); }});
}

TEST_CASE("layers: gradient of MLA in f64, with q-LoRA and YaRN, and without either") {
  ModelConfig config = small_v3_config();
  check_mla(config);
  config.q_lora_rank = 0;
  config.rope = RopeConfig{};
  config.v_head_dim = 3;
  check_mla(config);
}

TEST_CASE("layers: gradient of GQA in f64, with and without biases and head norms") {
  ModelConfig config = small_gqa_config();
  check_gqa(config);
  config.qkv_bias = config.o_bias = config.qk_norm = false;
  check_gqa(config);
  config.num_key_value_heads = config.num_attention_heads;
  config.rope.type = RopeType::llama3;
  config.rope.factor = 8.0;
  config.rope.original_max_position_embeddings = 16;
  check_gqa(config);
}

TEST_CASE("layers: gradient of the MoE in f64, with the balance loss") {
  check_moe(small_v3_config(), 0.0);
  check_moe(small_v3_config(), 3.0);
}

TEST_CASE("layers: gradient of the MoE in f64 without shared experts, without normalisation") {
  ModelConfig config = small_v3_config();
  config.n_shared_experts = 0;
  check_moe(config, 2.0);
  config.norm_topk_prob = false;
  check_moe(config, 0.0);
}

TEST_CASE("layers: gradient of the MoE in f64 with V2's softmax gate") {
  ModelConfig config = small_v3_config();
  config.scoring_func = ScoringFunc::softmax;
  config.has_correction_bias = false;
  config.n_shared_experts = 2;
  check_moe(config, 2.0);
}

TEST_CASE("layers: gradient of a dense, a MoE and a GQA block in f64") {
  check_block(small_v3_config(), 0, 0.0);
  check_block(small_v3_config(), 1, 1.5);
  check_block(small_gqa_config(), 1, 0.0);
}

TEST_CASE("layers: gradient of an MTP module in f64, with sequences of one and two tokens") {
  ModelConfig config = small_v3_config();
  Bench b(config);
  Arena inputs;
  std::vector<std::vector<int32_t>> ids;
  for (int64_t length : {5, 1, 2, 7}) ids.push_back(random_ids(length, config.vocab_size, 90));
  const TokenBatch batch = make_batch(b.ctx, inputs, ids);
  const Tensor before = b.tensors.normal(DType::f64, {batch.tokens(), config.hidden_size});
  const int64_t rows = batch.tokens() - batch.sequences();  // the last token has no next one
  const Tensor dhidden = b.tensors.normal(DType::f64, {rows, config.hidden_size});
  const Tensor doutput = b.tensors.normal(DType::f64, {rows, config.hidden_size});
  const Tensor dbefore = b.tensors.zeros(DType::f64, {batch.tokens(), config.hidden_size});
  MtpSaved saved;
  const ModelWeights& w = b.weights.view;
  const double balance = 0.5;
  const auto loss = [&] {
    b.activations.reset();
    mtp_forward(b.ctx, b.activations, config, saved, before, batch, w.embed_tokens, w.mtp[0]);
    return dot_all(saved.hidden, dhidden) + dot_all(saved.output, doutput) +
           balance * test::balance_loss(b.ctx, saved.block.moe.route.scores,
                                        saved.stream.batch.cu_seqlens, router_params(config));
  };
  loss();
  REQUIRE(saved.stream.batch.cu_seqlens == std::vector<int32_t>{0, 4, 5, 11});
  mtp_backward(b.ctx, b.activations, config,
               {dbefore, b.grads.view.embed_tokens, dhidden, b.tensors.copy_of(doutput), {balance}},
               b.grads.view.mtp[0], saved, w.mtp[0]);
  CHECK(check_gradient(before, dbefore, loss, 100, kStep).relative < kTolerance);
  const auto weights = tensors_of(b.weights.view, config), grads = tensors_of(b.grads.view, config);
  for (size_t i = 0; i < weights.size(); ++i) {
    const bool own = weights[i].name.rfind("model.layers.3.", 0) == 0 ||
                     weights[i].name == "model.embed_tokens.weight";
    if (!own || weights[i].role == TensorRole::router_bias) continue;
    const auto error = check_gradient(*weights[i].tensor, *grads[i].tensor, loss, 40, kStep);
    INFO(weights[i].name << " " << error.where);
    CHECK(error.relative < kTolerance);
  }
}

TEST_CASE("layers: gradient of the head in f64: temperature, entropy, any chunk, rows left out") {
  Context ctx(2);
  test::Tensors t;
  const int64_t tokens = 9, d = 6, vocab = 23;
  const Tensor hidden = t.normal(DType::f64, {tokens, d}), head = t.normal(DType::f64, {vocab, d});
  Arena arena;
  const HeadRows rows =
      make_head_rows(ctx, arena, std::vector<int32_t>{3, -1, 22, 0, 7, -1, 7, 11, -1});
  const int64_t count = rows.count();
  REQUIRE(count == 6);
  CHECK(rows.rows.get<int32_t>()[1] == 2);
  CHECK(rows.targets.get<int32_t>()[5] == 11);
  const Tensor dlogprob = t.normal(DType::f64, {count}), dentropy = t.normal(DType::f64, {count});
  Tensor first_hidden, first_head;
  for (const int64_t chunk : {int64_t{128}, int64_t{1}, int64_t{4}}) {
    const HeadParams params{.temperature = 0.7, .chunk_tokens = chunk};
    const LogProbOutputs out{t.poisoned(DType::f64, {count}), t.poisoned(DType::f64, {count}),
                             t.poisoned(DType::f64, {count})};
    const auto loss = [&] {
      lm_head_forward(ctx, out, hidden, head, rows, params);
      double sum = 0.0;
      for (int64_t i = 0; i < count; ++i)
        sum += dlogprob.get<double>()[i] * out.logprob.get<double>()[i] +
               dentropy.get<double>()[i] * out.entropy.get<double>()[i];
      return sum;
    };
    loss();
    const Tensor dhidden = t.zeros(DType::f64, {tokens, d});
    const Tensor dhead = t.zeros(DType::f64, {vocab, d});
    lm_head_backward(ctx, {dhidden, dhead}, dlogprob, dentropy, out, hidden, head, rows, params);
    CHECK(check_gradient(hidden, dhidden, loss).relative < kTolerance);
    CHECK(check_gradient(head, dhead, loss).relative < kTolerance);
    if (chunk == 128) first_hidden = dhidden, first_head = dhead;
    CHECK(relative_difference(dhidden, first_hidden) < 1e-13);
    CHECK(relative_difference(dhead, first_head) < 1e-13);
  }
}

TEST_CASE("layers: gradient of the scalar head in f64: last tokens only, and it adds") {
  Context ctx(2);
  test::Tensors t;
  const int64_t tokens = 9, d = 6;
  const Tensor hidden = t.normal(DType::f64, {tokens, d}), w = t.normal(DType::f64, {1, d});
  const Tensor last = t.ints({3}, {2, 3, 8}), dscores = t.normal(DType::f64, {3, 1});
  const Tensor scores = t.poisoned(DType::f64, {3, 1});
  const auto loss = [&] {
    score_head_forward(ctx, scores, hidden, w, last);
    return dot_all(scores, dscores);
  };
  loss();
  double by_hand = 0.0;
  for (int64_t j = 0; j < d; ++j) by_hand += hidden.row<double>(3)[j] * w.get<double>()[j];
  CHECK(scores.get<double>()[1] == Approx(by_hand).epsilon(1e-14));
  const Tensor dhidden = t.zeros(DType::f64, {tokens, d}), dw = t.zeros(DType::f64, {1, d});
  score_head_backward(ctx, {dhidden, dw}, dscores, hidden, w, last);
  CHECK(check_gradient(hidden, dhidden, loss).relative < kTolerance);
  CHECK(check_gradient(w, dw, loss).relative < kTolerance);
  for (const int64_t row : {0, 1, 4, 7})
    for (int64_t j = 0; j < d; ++j) CHECK(dhidden.row<double>(row)[j] == 0.0);
  const Tensor once = t.copy_of(dhidden), once_w = t.copy_of(dw);
  score_head_backward(ctx, {dhidden, dw}, dscores, hidden, w, last);
  CHECK(relative_difference(dhidden, t.doubled(once)) < 1e-14);
  CHECK(relative_difference(dw, t.doubled(once_w)) < 1e-14);
}
