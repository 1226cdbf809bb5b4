// Reward models: the losses, the gradient of the whole model, and runs that learn.
#include "reward/preference/trainer.h"

#include <cmath>

#include "core/file.h"
#include "model/training/score_step.h"
#include "model/training/sequence_scores.h"
#include "reward/preference/loss.h"
#include "tests/reward/preference/toy.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;
using test::RewardRun;
using test::toy_options;
using test::toy_reward_config;

TEST_CASE("preference: the losses by hand, their derivatives by differences, no overflow") {
  CHECK(pairwise_loss(0.0).loss == Approx(std::log(2.0)));
  CHECK(pairwise_loss(0.0).gradient == -0.5);
  CHECK(pairwise_loss(1.5).loss == Approx(-std::log(1.0 / (1.0 + std::exp(-1.5)))));
  CHECK(binary_loss(1.5, true).loss == pairwise_loss(1.5).loss);
  CHECK(binary_loss(1.5, false).loss == pairwise_loss(-1.5).loss);
  CHECK(binary_loss(1.5, false).gradient == -pairwise_loss(-1.5).gradient);
  for (const double x : {-3.0, -0.2, 0.0, 0.7, 4.0}) {
    const double h = 1e-5;
    const auto slope = [&](auto&& f) { return (f(x + h) - f(x - h)) / (2.0 * h); };
    CHECK(slope([](double y) { return pairwise_loss(y).loss; }) ==
          Approx(pairwise_loss(x).gradient).epsilon(1e-8));
    for (const bool good : {true, false})
      CHECK(slope([&](double y) { return binary_loss(y, good).loss; }) ==
            Approx(binary_loss(x, good).gradient).epsilon(1e-8));
  }
  for (const double x : {-1e4, 1e4}) {
    CHECK(std::isfinite(pairwise_loss(x).loss));
    CHECK(pairwise_loss(x).loss == (x < 0 ? 1e4 : 0.0));
  }
  CHECK(sigmoid(-800.0) == 0.0);
  CHECK(sigmoid(800.0) == 1.0);
}

TEST_CASE("preference: the gradient of the whole model in f64, of each loss, for V3 and GQA") {
  for (const bool gqa : {false, true}) {
    for (const PreferenceLoss kind : {PreferenceLoss::pairwise, PreferenceLoss::binary}) {
      RewardModelOptions o = toy_options();
      o.loss = kind;
      RewardRun r(toy_reward_config(gqa), o, DType::f64);
      r.weights = random_weights(r.config, DType::f64, 5);
      const std::span<const PreferenceExample> rows = std::span(r.train).subspan(0, 3);
      std::vector<std::vector<int32_t>> texts;
      for (const PreferenceExample& e : rows)
        texts.insert(texts.end(), e.texts.begin(), e.texts.end());
      const auto loss_of = [&](const std::vector<double>& scores, std::vector<double>& gradient) {
        double sum = 0.0;
        for (size_t i = 0; i < rows.size(); ++i)
          sum += preference_loss(rows[i], std::span(scores).subspan(2 * i, 2), kind,
                                 std::span(gradient).subspan(2 * i, 2));
        return sum;
      };
      const auto loss = [&] {
        std::vector<double> ignored(texts.size());
        return loss_of(sequence_scores(r.ctx, r.weights.view, r.config, texts, 512), ignored);
      };
      TrainStep step(r.ctx, r.config, r.weights, {});
      step.begin({.sequences = 6});
      double seen = 0.0;
      accumulate_scores(r.ctx, step, r.weights.view, texts,
                        [&](SequenceScores& s) { seen = loss_of(s.score, s.dscore); });
      CHECK(seen == Approx(loss()).epsilon(1e-12));

      const auto tensors = tensors_of(r.weights.view, r.config);
      const auto grads = tensors_of(step.gradients().view, r.config);
      double scale = 0.0;
      bool head = false;
      for (const NamedTensor& g : grads) {
        head = head || g.name == "score.weight";
        CHECK(g.name != "lm_head.weight");
        if (g.role == TensorRole::router_bias) continue;
        for (int64_t i = 0; i < g.tensor->numel(); ++i)
          scale = std::max(scale, std::abs(g.tensor->get<double>()[i]));
      }
      REQUIRE(head);
      REQUIRE(scale > 0.01);
      for (size_t t = 0; t < tensors.size(); ++t) {
        if (tensors[t].role == TensorRole::router_bias) continue;
        const int64_t n = tensors[t].tensor->numel();
        for (int64_t i = 0; i < n; i += std::max<int64_t>(1, n / 2)) {
          double& w = tensors[t].tensor->get<double>()[i];
          const double kept = w, h = 1e-5;
          w = kept + h;
          const double up = loss();
          w = kept - h;
          const double down = loss();
          w = kept;
          INFO(tensors[t].name << " " << i << (gqa ? " gqa" : " v3"));
          CHECK(std::abs((up - down) / (2.0 * h) - grads[t].tensor->get<double>()[i]) <
                1e-6 * scale);
        }
      }
    }
  }
}

TEST_CASE("preference: a small V3 and a small qwen learn what is better, on prompts not seen") {
  for (const bool gqa : {false, true}) {
    RewardRun r(toy_reward_config(gqa), toy_options(40));
    r.weights.view.score.get<float>()[0] = 0.0f;
    const RewardModelResult result = r.run();
    INFO(result.after.text());
    CHECK(result.before.pairs == 24);
    CHECK(result.after.accuracy > 0.9);
    CHECK(result.after.margin > 1.0);
    CHECK(result.after.loss < 0.5 * result.before.loss);
    CHECK(result.train.accuracy > 0.9);
    CHECK(r.curve("loss").size() == 40);
    CHECK(r.curve("heldout/accuracy").back() == result.after.accuracy);
    CHECK(r.curve("heldout/accuracy_by_length").back() < 0.8);
    CHECK(r.curve("length/good").size() == 1);
    CHECK(r.checkpoint_steps() == std::vector<int64_t>{40});
  }
}

TEST_CASE("preference: point-wise labels give scores on the right side of 0") {
  RewardModelOptions o = toy_options(40);
  o.loss = PreferenceLoss::binary;
  RewardRun r(toy_reward_config(), o);
  const RewardModelResult result = r.run();
  INFO(result.after.text());
  CHECK(result.after.labels > 0.9);
  CHECK(result.after.separation > 0.9);
}

TEST_CASE(
    "preference: micro-batches change neither loss nor gradient; a seed gives the same bits") {
  RewardRun whole(toy_reward_config(), toy_options(), DType::f64, 1 << 20);
  RewardRun cut(toy_reward_config(), toy_options(), DType::f64, 1);
  RewardRun again(toy_reward_config(), toy_options(), DType::f64, 1 << 20);
  whole.run(), cut.run(), again.run();
  for (const char* name : {"loss", "grad_norm", "train/margin"})
    for (size_t i = 0; i < 3; ++i)
      CHECK(cut.curve(name)[i] == Approx(whole.curve(name)[i]).epsilon(1e-9));
  CHECK(test::same_weights(whole.weights, again.weights));
}

TEST_CASE("preference: a saved model is a sequence-classification folder, and loads back equal") {
  RewardModelOptions o = toy_options(50);
  o.training.save_every = 2;
  RewardRun r(toy_reward_config(), o);
  r.interrupt_at = 4;
  const RewardModelResult result = r.run();
  CHECK(result.interrupted);
  CHECK(result.steps == 5);
  CHECK(r.checkpoint_steps() == std::vector<int64_t>{2, 4, 5});
  const std::string config = read_file(r.dir / "step-5" / "config.json");
  for (const char* part : {"DeepseekV3ForSequenceClassification", "\"id2label\"", "\"LABEL_0\""})
    CHECK(config.find(part) != std::string::npos);
  LoadedModel loaded = load_reward_model(r.ctx, r.dir / "step-5", DType::f32);
  CHECK(test::same_weights(loaded.weights, r.weights));
  CHECK(loaded.warnings.empty());
  const auto names = tensors_of(loaded.weights.view, loaded.config);
  CHECK(names.back().name == "score.weight");
  CHECK(names.back().tensor->shape_text() == "[1, 16]");

  // It goes on from where it was.
  const LoadedRewardModel more = load_reward_trunk(r.ctx, r.dir / "step-5", DType::f32);
  CHECK_FALSE(more.is_new);
  CHECK(test::same_weights(more.model.weights, r.weights));
}

TEST_CASE("preference: a language model gives its trunk, and the new head starts at 0") {
  for (const bool gqa : {false, true}) {
    const ModelConfig config = gqa ? small_gqa_config() : small_v3_config();
    const TemporaryFolder dir;
    OwnedWeights weights = random_weights(config, DType::f32, 3);
    save_model(weights.view, config, dir / "lm", {});
    Context ctx(1);
    LoadedRewardModel loaded = load_reward_trunk(ctx, dir / "lm", DType::f32);
    CHECK(loaded.is_new);
    CHECK(loaded.model.config.num_nextn_predict_layers == 0);
    CHECK(loaded.model.weights.view.embed_tokens.get<float>()[5] ==
          weights.view.embed_tokens.get<float>()[5]);
    const std::vector<std::vector<int32_t>> ids{{1, 2, 3}};
    CHECK(sequence_scores(ctx, loaded.model.weights.view, loaded.model.config, ids, 16)[0] == 0.0);
    CHECK_THROWS_AS(load_reward_model(ctx, dir / "lm", DType::f32), UserError);
  }
}

TEST_CASE("preference: a score is the sequence's own, whatever it is packed with") {
  const ModelConfig config = toy_reward_config();
  OwnedWeights weights = random_weights(config, DType::f32, 3);
  Context ctx(2);
  std::vector<std::vector<int32_t>> ids;
  for (uint64_t i = 0; i < 6; ++i)
    ids.push_back(random_ids(static_cast<int64_t>(3 + 5 * i), config.vocab_size, i));
  const auto alone = sequence_scores(ctx, weights.view, config, ids, 1);
  const auto packed = sequence_scores(ctx, weights.view, config, ids, 1000);
  for (size_t i = 0; i < ids.size(); ++i) CHECK(packed[i] == Approx(alone[i]).epsilon(1e-5));
}

TEST_CASE("preference: accuracy, separation and length by hand") {
  const auto pair = [](int64_t better, int64_t worse) {
    return PreferenceExample{
        .texts = {{1}, {2}}, .good = {true, false}, .answer_tokens = {better, worse}};
  };
  const std::vector<PreferenceExample> rows{pair(3, 9), pair(9, 3), pair(5, 5), pair(2, 8)};
  const PreferenceAccuracy a = preference_accuracy(
      rows, {{1.0, 0.0}, {0.0, 2.0}, {1.0, 1.0}, {3.0, -1.0}}, PreferenceLoss::pairwise);
  CHECK(a.accuracy == Approx(2.5 / 4));
  CHECK(a.by_length == Approx(1.5 / 4));
  CHECK(a.shorter_pairs == 2);
  CHECK(a.shorter_accuracy == 1.0);
  CHECK(a.margin == Approx((1.0 - 2.0 + 0.0 + 4.0) / 4));
  // Good 1 0 1 3 against bad 0 2 1 -1: 2.5 + 1.5 + 2.5 + 4 of 16 in order.
  CHECK(a.separation == Approx(10.5 / 16));
  CHECK(a.mean_score == Approx(7.0 / 8));
  const LengthReport lengths = length_report(rows);
  CHECK(lengths.good_tokens == Approx(19.0 / 4));
  CHECK(lengths.better_longer == Approx(1.5 / 4));
}
