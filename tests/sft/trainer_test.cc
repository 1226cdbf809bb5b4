// Whole supervised runs of a small model on a toy that can be learned: counting up.
#include "sft/trainer.h"

#include <cmath>
#include <memory>

#include "core/file.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/stage_run.h"

using namespace temper;

namespace {

// id, id + 1, id + 2, ... of unlike lengths; the first two tokens are the prompt.
std::vector<Sample> counting(size_t count, int64_t vocab, uint64_t seed) {
  Random random(seed, RandomStream::data);
  std::vector<Sample> out;
  for (size_t s = 0; s < count; ++s) {
    Sample& sample = out.emplace_back();
    const uint32_t length = 4 + random.below(6);
    int64_t id = random.below(static_cast<uint32_t>(vocab));
    for (uint32_t i = 0; i < length; ++i, ++id) {
      sample.ids.push_back(static_cast<int32_t>(id % vocab));
      sample.mask.push_back(i >= 2);
    }
  }
  return out;
}

struct Options : SftOptions {
  Options() {
    batch_size = 8;
    max_steps = 3;
    training.learning_rate = 1e-2;
    training.seed = 4;
  }
};

struct SftRun : test::StageRun {
  SftRun(const ModelConfig& c, const SftOptions& o, DType dtype = DType::f32,
         int64_t micro_batch_tokens = 64)
      : StageRun("sft"),
        config(c),
        options(o),
        weights(allocate_weights(config, dtype)),
        train(counting(48, config.vocab_size, 1)),
        heldout(counting(8, config.vocab_size, 2)),
        tokens(micro_batch_tokens) {
    initialize_weights(weights.view, config, 6);
  }
  SftResult run() {
    return train_sft({ctx, config, weights, options, train, heldout, tokens, store, id, log,
                      interrupt,
                      [&](StepWriter& writer, const OptimizerState&, const StageState& state) {
                        save(writer, state.step);
                      },
                      nullptr, parts, files});
  }
  void save(StepWriter& writer, int64_t step) {
    const std::string path = "step-" + std::to_string(step);
    save_model(weights.view, config, dir / path, {});
    writer.add_checkpoint({.path = path, .policy_version = step});
    if (step == interrupt_at) interrupt.request();
  }

  ModelConfig config;
  SftOptions options;
  Context ctx{2};
  OwnedWeights weights;
  std::vector<Sample> train, heldout;
  std::span<const MixturePart> parts = {};
  std::span<const std::string> files = {};
  int64_t tokens;
  int64_t interrupt_at = -1;
};

ModelConfig toy_config() {
  ModelConfig config = small_v3_config();
  config.initializer_range = 0.1;
  return config;
}

}  // namespace

TEST_CASE("sft: a small V3 learns to count, MTP and balance terms included") {
  Options o;
  o.max_steps = 60;
  o.batch_size = 16;
  o.training.warmup_steps = 5;
  o.training.mtp_weight = 0.3;
  o.training.balance_alpha = 1e-3;
  o.training.bias_update_speed = 1e-3;
  SftRun r(toy_config(), o);
  const SftResult result = r.run();
  const std::vector<double> loss = r.curve("loss"), mtp = r.curve("mtp_loss");
  REQUIRE(loss.size() == 60);
  CHECK(loss.front() == Approx(std::log(37.0)).epsilon(0.1));  // knows nothing at first
  CHECK(loss.back() < 0.3 * loss.front());
  CHECK(mtp.back() < 0.6 * mtp.front());
  CHECK(result.loss == loss.back());
  CHECK(result.heldout_before == Approx(std::log(37.0)).epsilon(0.1));
  CHECK(result.heldout_after < 0.5 * result.heldout_before);  // other samples, the same rule
  CHECK(r.curve("lr").front() == Approx(1e-2 / 5));
  CHECK(r.curve("balance_loss").size() == 60);
  CHECK(r.curve("load_max_over_mean").back() >= 1.0);
  CHECK(r.checkpoint_steps() == std::vector<int64_t>{60});
  CHECK(r.weights.view.layers[1].moe.e_score_correction_bias.get<float>()[0] != 0.0f);
}

TEST_CASE("sft: the same seed gives the same bits; another seed does not") {
  for (const ModelConfig& config : {toy_config(), small_gqa_config()}) {
    Options o;
    SftRun a(config, o), b(config, o);
    o.training.seed = 5;
    SftRun c(config, o);
    a.run(), b.run(), c.run();
    CHECK(test::same_weights(a.weights, b.weights));
    CHECK(a.curve("loss") == b.curve("loss"));
    CHECK_FALSE(test::same_weights(a.weights, c.weights));
  }
}

TEST_CASE("sft: recompute changes no bit of a run") {
  Options o;
  o.training.mtp_weight = 0.3;
  o.training.balance_alpha = 1e-2;
  SftRun plain(toy_config(), o);
  o.training.recompute = true;
  SftRun recomputed(toy_config(), o);
  plain.run(), recomputed.run();
  CHECK(test::same_weights(plain.weights, recomputed.weights));
  CHECK(plain.curve("grad_norm") == recomputed.curve("grad_norm"));
}

TEST_CASE("sft: micro-batches change neither losses nor gradient norms") {
  Options o;
  o.training.mtp_weight = 0.3;
  o.training.balance_alpha = 1e-2;
  for (const DType dtype : {DType::f32, DType::f64}) {
    SftRun whole(toy_config(), o, dtype, 1 << 20);
    whole.run();
    const double tolerance = dtype == DType::f32 ? 1e-6 : 1e-12;
    for (const int64_t tokens : {1, 13}) {
      SftRun cut(toy_config(), o, dtype, tokens);
      cut.run();
      for (const char* name : {"loss", "mtp_loss", "balance_loss", "grad_norm"}) {
        INFO(name << " in " << name_of(dtype) << ", micro-batches of " << tokens);
        // In f32 the first step: later ones start from weights that differ in their last bits.
        const size_t steps = dtype == DType::f32 ? 1 : 3;
        for (size_t i = 0; i < steps; ++i)
          CHECK(cut.curve(name)[i] == Approx(whole.curve(name)[i]).epsilon(tolerance));
      }
    }
  }
}

TEST_CASE("sft: an interrupt finishes the step, writes a checkpoint, and that loads back equal") {
  Options o;
  o.max_steps = 50;
  o.training.save_every = 2;
  SftRun r(toy_config(), o);
  r.interrupt_at = 4;  // comes while step 4 is saved: step 5 is the last whole one
  const SftResult result = r.run();
  CHECK(result.interrupted);
  CHECK(result.steps == 5);
  CHECK(r.committed_steps() == 5);
  CHECK(r.checkpoint_steps() == std::vector<int64_t>{2, 4, 5});
  const LoadedModel loaded = load_model(r.ctx, r.dir / "step-5", DType::f32);
  CHECK(test::same_weights(loaded.weights, r.weights));
  const LoadedModel before = load_model(r.ctx, r.dir / "step-4", DType::f32);
  CHECK_FALSE(test::same_weights(before.weights, r.weights));
}

TEST_CASE("sft: a loss that is not finite stops the run and loses nothing written before") {
  Options o;
  o.max_steps = 50;
  o.training.save_every = 1;
  o.training.learning_rate = 1e25;  // the second forward pass overflows
  SftRun r(toy_config(), o);
  std::string message;
  try {
    r.run();
  } catch (const UserError& error) {
    message = error.what();
  }
  INFO(message);
  CHECK(message.find("not finite") != std::string::npos);
  CHECK(message.find("learning") != std::string::npos);  // the mend
  CHECK(message.find("step 1") != std::string::npos);
  CHECK(r.committed_steps() == 1);
  for (double loss : r.curve("loss")) CHECK(std::isfinite(loss));
  CHECK(r.checkpoint_steps().empty());            // nothing good can be gone on from
  StepWriter next(r.store, {r.id, "sft", 2}, 0);  // the store is open for more
  next.commit({});
}

TEST_CASE("sft: a step whose loss is not finite leaves the model of the step before it") {
  Options o;
  o.max_steps = 50;  // and none is saved on the way
  SftRun r(toy_config(), o);
  const int64_t bad_id = r.config.vocab_size - 1;
  r.train = counting(48, bad_id, 1);
  r.heldout.clear();
  Mixture order({{48, 0.0}}, static_cast<uint64_t>(o.training.seed));
  // A token that only the sixth batch has, and an embedding that is damaged.
  const int64_t at = order.epoch(0)[40];
  r.train[static_cast<size_t>(at)].ids[0] = static_cast<int32_t>(bad_id);
  r.weights.view.embed_tokens.row<float>(bad_id)[0] = std::nanf("");
  CHECK_THROWS_WITH(r.run(), Contains("not finite") && Contains("step 6"));
  CHECK(r.committed_steps() == 5);
  REQUIRE(r.checkpoint_steps() == std::vector<int64_t>{5});
  const LoadedModel saved = load_model(r.ctx, r.dir / "step-5", DType::f32);
  CHECK(test::same_weights(saved.weights, r.weights));
}

TEST_CASE("sft: each of several files has its own loss and counts, whatever the micro-batches") {
  Options o;
  o.max_steps = 2;
  o.batch_size = 20;
  const std::vector<MixturePart> parts{{30, 0.0}, {0, 0.0}, {18, 0.0}};
  const std::vector<std::string> files{"a/math.jsonl", "code.jsonl", "b/math.jsonl"};
  for (const int64_t tokens : {1, 64, 1 << 20}) {
    SftRun r(toy_config(), o, DType::f64, tokens);
    r.parts = parts, r.files = files;
    SftRun start(toy_config(), o, DType::f64, tokens);  // the weights before the first step
    r.run();
    // What the first step trained on, one file after the other, by another way.
    const std::vector<int64_t> order = Mixture(parts, 4).epoch(0);
    std::vector<double> loss(3), targets(3), samples(3);
    TrainStep scorer(start.ctx, start.config, start.weights, {});
    for (int64_t i = 0; i < o.batch_size; ++i) {
      const auto at = static_cast<size_t>(order[static_cast<size_t>(i)]);
      const size_t file = at < 30 ? 0 : 2;
      const TrainSequence s{r.train[at].ids, r.train[at].mask};
      const TokenLoss scored = scorer.score(start.weights.view, {&s, 1});
      for (const double logprob : scored.logprob[0]) loss[file] -= logprob;
      targets[file] += static_cast<double>(r.train[at].targets());
      ++samples[file];
    }
    REQUIRE((samples[0] > 0 && samples[2] > 0));
    CHECK(r.curve("data/a/math.jsonl/samples").at(0) == samples[0]);
    CHECK(r.curve("data/b/math.jsonl/samples").at(0) == samples[2]);
    CHECK(r.curve("data/a/math.jsonl/tokens").at(0) == targets[0]);
    CHECK(r.curve("data/a/math.jsonl/loss").at(0) == Approx(loss[0] / targets[0]));
    CHECK(r.curve("data/b/math.jsonl/loss").at(0) == Approx(loss[2] / targets[2]));
    CHECK(r.curve("data/code/samples") == std::vector<double>{0.0, 0.0});
    CHECK(r.curve("data/code/loss").empty());
    CHECK(r.curve("loss").at(0) == Approx((loss[0] + loss[2]) / (targets[0] + targets[2])));
    CHECK(r.curve("batch/targets").at(0) == targets[0] + targets[2]);
  }
  SftRun one(toy_config(), o);
  one.run();
  CHECK(one.store.database().value<int>("SELECT count(*) FROM metrics WHERE name LIKE 'data/%'") ==
        0);
}

TEST_CASE("sft: the held-out loss is measured at each epoch's end") {
  Options o;
  o.max_steps = 0;
  o.epochs = 2;
  o.batch_size = 24;  // two steps an epoch
  SftRun r(toy_config(), o);
  r.run();
  std::vector<int64_t> steps;
  for (const CurvePoint& p : read_curve(r.store.database(), r.id, "sft", "heldout_loss"))
    steps.push_back(p.step);
  CHECK(steps == std::vector<int64_t>{2, 4});
  CHECK(r.curve("epoch") == std::vector<double>{0.5, 1.0, 1.5, 2.0});
}

TEST_CASE("sft: docs/database.md has every name that a run logs") {
  Options o;
  o.max_steps = 1;
  o.training.mtp_weight = 0.1;
  SftRun r(toy_config(), o);
  const std::vector<MixturePart> parts{{40, 0.0}, {8, 0.0}};
  const std::vector<std::string> files{"a.jsonl", "b.jsonl"};
  r.parts = parts, r.files = files;
  r.run();
  const std::string page = read_file(test::source_dir() + "/docs/database.md");
  r.store.database().for_each_row("SELECT name FROM metrics", [&](const auto& row) {
    std::string name = row.template get<std::string>(0);
    for (const char* file : {"data/a/", "data/b/"})
      if (name.rfind(file, 0) == 0) name.replace(0, 7, "data/<file>/");
    INFO(name);
    CHECK(page.find("`" + name + "`") != std::string::npos);
  });
}

TEST_CASE("sft: every sample of an epoch is seen once, in an order by seed") {
  Options o;
  o.max_steps = 0;
  o.epochs = 2;
  o.batch_size = 20;  // 48 samples: 20 + 20 + 8 an epoch
  SftRun r(toy_config(), o);
  const SftResult result = r.run();
  CHECK(result.steps == 6);
  int64_t tokens = 0, all = 0;
  for (const StepRow& step : read_steps(r.store.database(), r.id, "sft"))
    tokens += step.trained_tokens.value_or(0);
  for (const Sample& sample : r.train) all += static_cast<int64_t>(sample.ids.size());
  CHECK(tokens == 2 * all);
}
