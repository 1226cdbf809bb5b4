// The whole model's gradient against central differences, and what must not change it.
#include "model/training/train_step.h"

#include <cmath>
#include <cstring>

#include "model/training/micro_batches.h"
#include "tests/support/catch.h"
#include "tests/support/small_models.h"

using namespace temper;

namespace {

std::vector<TrainSequence> sequences_for(const ModelConfig& config) {
  std::vector<TrainSequence> out;
  const std::vector<int64_t> lengths{7, 1, 12, 2, 5};
  for (size_t s = 0; s < lengths.size(); ++s) {
    TrainSequence sequence;
    sequence.ids = random_ids(lengths[s], config.vocab_size, 11 + s);
    for (size_t i = 0; i < sequence.ids.size(); ++i)
      sequence.mask.push_back(i > 0 && (i + s) % 3 != 0);
    out.push_back(std::move(sequence));
  }
  return out;
}

// A loss that uses every log-probability and entropy with a weight of its own; `position` is the
// sequence's place in the whole batch, so that the loss does not depend on the partition.
double weigh(TokenLoss& tokens, std::span<const TrainSequence> part,
             const std::vector<size_t>& position) {
  double loss = 0.0;
  tokens.dentropy = tokens.dlogprob;
  for (size_t s = 0; s < part.size(); ++s)
    for (size_t i = 1; i < part[s].ids.size(); ++i) {
      if (!part[s].mask[i]) continue;
      const double a =
          std::sin(1.0 + 3.0 * static_cast<double>(position[s]) + static_cast<double>(i));
      const double b = 0.3 * std::cos(2.0 + static_cast<double>(position[s] * i));
      loss += a * tokens.logprob[s][i] + b * tokens.entropy[s][i];
      tokens.dlogprob[s][i] = a;
      tokens.dentropy[s][i] = b;
    }
  return loss;
}

// Accumulates all sequences in bins of `max_tokens`; returns the objective that is differentiated.
double run(TrainStep& step, const std::vector<TrainSequence>& sequences, int64_t max_tokens,
           const ModelConfig& config) {
  step.begin(count_global(sequences, config.num_nextn_predict_layers));
  double loss = 0.0;
  for (const auto& bin : micro_batch_indices(sequences, max_tokens)) {
    std::vector<TrainSequence> part;
    for (size_t index : bin) part.push_back(sequences[index]);
    step.accumulate(part, [&](TokenLoss& tokens) { loss += weigh(tokens, part, bin); });
  }
  const TrainOptions& o = step.options();
  step.report_sums();
  return loss + o.mtp_weight * step.report().mtp_loss +
         o.balance_alpha * step.report().balance_loss;
}

TrainOptions all_terms() {
  TrainOptions o;
  o.mtp_weight = 0.7;
  o.balance_alpha = 0.5;
  o.temperature = 0.8;
  o.entropy = true;
  return o;
}

void check_gradient(const ModelConfig& config) {
  Context ctx(2);
  OwnedWeights weights = random_weights(config, DType::f64, 5);
  const std::vector<TrainSequence> sequences = sequences_for(config);
  TrainStep step(ctx, config, weights, all_terms());
  run(step, sequences, 1000, config);
  OwnedWeights analytic = allocate_weights(config, DType::f64);
  std::memcpy(analytic.storage.view.data, step.gradients().storage.view.data,
              static_cast<size_t>(analytic.storage.view.numel()) * sizeof(double));

  const auto tensors = tensors_of(weights.view, config);
  const auto gradients = tensors_of(analytic.view, config);
  double scale = 0.0;
  for (const NamedTensor& g : gradients)
    if (g.role != TensorRole::router_bias)
      for (int64_t i = 0; i < g.tensor->numel(); ++i)
        scale = std::max(scale, std::abs(g.tensor->get<double>()[i]));
  REQUIRE(scale > 0.1);

  constexpr double h = 1e-5;
  for (size_t t = 0; t < tensors.size(); ++t) {
    if (tensors[t].role == TensorRole::router_bias) continue;
    const int64_t n = tensors[t].tensor->numel();
    for (int64_t i = 0; i < n; i += std::max<int64_t>(1, n / 5)) {
      double& w = tensors[t].tensor->get<double>()[i];
      const double kept = w;
      w = kept + h;
      const double up = run(step, sequences, 1000, config);
      w = kept - h;
      const double down = run(step, sequences, 1000, config);
      w = kept;
      const double numeric = (up - down) / (2.0 * h);
      const double found = gradients[t].tensor->get<double>()[i];
      INFO(tensors[t].name << " [" << i << "] numeric " << numeric << " analytic " << found);
      REQUIRE(std::abs(numeric - found) <= 1e-6 * std::max(std::abs(numeric), 1e-2 * scale));
    }
  }
}

}  // namespace

TEST_CASE("gradient of the whole small V3 with MoE, MTP and balance loss in f64") {
  check_gradient(small_v3_config());
}

TEST_CASE("gradient of the whole small V3 without q-LoRA, with the V2 softmax gate in f64") {
  ModelConfig config = small_v3_config();
  config.q_lora_rank = 0;
  config.scoring_func = ScoringFunc::softmax;
  config.has_correction_bias = false;
  config.norm_topk_prob = false;
  config.n_shared_experts = 2;
  config.num_nextn_predict_layers = 2;
  check_gradient(config);
}

TEST_CASE("gradient of the whole small GQA model with biases, norms and a tied head in f64") {
  check_gradient(small_gqa_config());
}

TEST_CASE("loss and gradient do not depend on the split into micro-batches") {
  const ModelConfig config = small_v3_config();
  Context ctx(2);
  OwnedWeights weights = random_weights(config, DType::f64, 5);
  const std::vector<TrainSequence> sequences = sequences_for(config);
  TrainStep whole(ctx, config, weights, all_terms()), cut(ctx, config, weights, all_terms());
  const double loss = run(whole, sequences, 1000, config);
  for (int64_t tokens : {1, 9, 14}) {
    REQUIRE(run(cut, sequences, tokens, config) == Approx(loss).epsilon(1e-10));
    const double* a = whole.gradients().storage.view.get<double>();
    const double* b = cut.gradients().storage.view.get<double>();
    for (int64_t i = 0; i < whole.gradients().storage.view.numel(); ++i)
      REQUIRE(std::abs(a[i] - b[i]) <= 1e-6 * std::max(1.0, std::abs(a[i])) * 1e-3);
  }
}

TEST_CASE("recompute on and off give the same bits") {
  const ModelConfig config = small_v3_config();
  Context ctx(2);
  OwnedWeights weights = random_weights(config, DType::f32, 5);
  const std::vector<TrainSequence> sequences = sequences_for(config);
  TrainOptions options = all_terms();
  TrainStep plain(ctx, config, weights, options);
  options.recompute = true;
  TrainStep recomputed(ctx, config, weights, options);
  REQUIRE(run(plain, sequences, 14, config) == run(recomputed, sequences, 14, config));
  REQUIRE(plain.load() == recomputed.load());
  REQUIRE(std::memcmp(plain.gradients().storage.view.data, recomputed.gradients().storage.view.data,
                      static_cast<size_t>(plain.gradients().storage.view.numel()) * 4) == 0);
}

TEST_CASE("the number of threads does not change a bit of the gradient") {
  const ModelConfig config = small_v3_config();
  Context one(1), two(2);
  OwnedWeights weights = random_weights(config, DType::f32, 5);
  const std::vector<TrainSequence> sequences = sequences_for(config);
  TrainStep a(one, config, weights, all_terms()), b(two, config, weights, all_terms());
  REQUIRE(run(a, sequences, 14, config) == run(b, sequences, 14, config));
  REQUIRE(std::memcmp(a.gradients().storage.view.data, b.gradients().storage.view.data,
                      static_cast<size_t>(a.gradients().storage.view.numel()) * 4) == 0);
}

TEST_CASE("router biases move by the rule and are frozen at speed 0") {
  const ModelConfig config = small_v3_config();
  OwnedWeights weights = allocate_weights(config, DType::f32);
  Context ctx(1);
  std::vector<int32_t> load{8, 0, 4, 4, 4, 4, 4, 4,    // first MoE layer
                            4, 4, 4, 4, 4, 4, 4, 4,    // second
                            0, 0, 0, 0, 0, 0, 0, 32};  // the MTP block's
  update_router_biases(ctx, weights.view, make_tensor(load.data(), DType::i32, {3, 8}), 0.001);
  const float* first = weights.view.layers[1].moe.e_score_correction_bias.get<float>();
  REQUIRE(first[0] == -0.001f);
  REQUIRE(first[1] == 0.001f);
  REQUIRE(first[2] == 0.0f);
  REQUIRE(weights.view.layers[2].moe.e_score_correction_bias.get<float>()[3] == 0.0f);
  REQUIRE(weights.view.mtp[0].block.moe.e_score_correction_bias.get<float>()[7] == -0.001f);
}
