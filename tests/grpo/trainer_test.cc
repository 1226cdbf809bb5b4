// Whole GRPO runs of a small model: what is learned, what is recorded, what must not matter.
#include "grpo/trainer.h"

#include <cmath>

#include "model/training/step_saver.h"
#include "tests/grpo/grpo_run.h"
#include "tests/support/catch.h"

using namespace temper;
using namespace temper::test;

namespace {

bool same_rows(const std::vector<SampleRow>& a, const std::vector<SampleRow>& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i)
    same = a[i].ids == b[i].ids && a[i].completion == b[i].completion &&
           a[i].rollout_logprobs == b[i].rollout_logprobs &&
           a[i].trainer_logprobs == b[i].trainer_logprobs && a[i].reward == b[i].reward &&
           a[i].advantage == b[i].advantage && a[i].finish_reason == b[i].finish_reason;
  return same;
}

}  // namespace

TEST_CASE("grpo: raises a toy reward; rollout and trainer agree to 1e-4 nats all the way") {
  Options o;
  o.steps = 20;
  o.samples_per_prompt = 8;
  GrpoRun r(o, kPlain);
  const GrpoResult result = r.run();
  const std::vector<double> reward = r.curve("reward/mean"), mismatch = r.curve("mismatch/max");
  REQUIRE(reward.size() == 20);
  CHECK(reward.front() < 0.3);  // 26 letters of 266 tokens
  CHECK(reward.back() > 0.7);
  CHECK(result.reward_first == reward.front());
  CHECK(result.reward_last == reward.back());
  CHECK(result.max_mismatch > 0.0);
  CHECK(result.max_mismatch <= 1e-4);
  for (double m : mismatch) CHECK(m <= 1e-4);
  for (const SampleRow& row : r.samples(20))
    if (row.max_logprob_difference) CHECK(*row.max_logprob_difference <= 1e-4);
  CHECK(r.checkpoint_steps() == std::vector<int64_t>{20});
}

TEST_CASE("grpo: near ties in the router move no log-probability, by default") {
  // Experts in pairs whose gates differ by rounding: which one of a pair a token goes to is decided
  // by the last bits, and those are not the same in decode and in training.
  const auto run = [](RoutingReplay replay) {
    Options o;
    o.steps = 4;
    o.replay_routing = replay;
    GrpoRun r(o, kPlain);
    Random random(3, RandomStream::weights, 0);
    for (BlockWeights& block : r.weights.view.layers) {
      const Tensor gate = block.moe.gate;  // [E, d]
      for (int64_t e = 0; e + 1 < gate.rows(); e += 2)
        for (int64_t i = 0; i < gate.cols(); ++i)
          gate.row<float>(e + 1)[i] =
              gate.row<float>(e)[i] * static_cast<float>(1.0 + 1e-7 * random.normal());
    }
    return r.run().max_mismatch;
  };
  CHECK(run(RoutingReplay::off) > 1e-3);
  CHECK(run(Options().replay_routing) <= 1e-4);
}

TEST_CASE("grpo: the same seed gives the same weights and rows, bit for bit") {
  Options o;
  o.kl_coef = 0.01;
  GrpoRun a(o, kPlain), b(o, kPlain);
  b.options.rollout_batch = 16;  // nor does it matter what was decoded together
  a.run(), b.run();
  CHECK(test::same_weights(a.weights, b.weights));
  for (int64_t step : {1, 2}) {
    CHECK(same_rows(a.samples(step), b.samples(step)));
    CHECK(a.samples(step).size() == 16);
  }
  CHECK(a.curve("policy/loss") == b.curve("policy/loss"));
  o.training.seed = 10;
  GrpoRun c(o, kPlain);
  c.run();
  CHECK_FALSE(same_rows(a.samples(1), c.samples(1)));
}

TEST_CASE("grpo: recompute changes no bit of a run") {
  Options o;
  o.training.balance_alpha = 1e-2;
  GrpoRun plain(o, kPlain);
  o.training.recompute = true;
  GrpoRun recomputed(o, kPlain);
  plain.run(), recomputed.run();
  CHECK(test::same_weights(plain.weights, recomputed.weights));
  CHECK(same_rows(plain.samples(2), recomputed.samples(2)));
}

TEST_CASE("grpo: micro-batches change neither loss nor gradient norm") {
  Options o;
  o.steps = 1;
  o.kl_coef = 0.1;
  o.mini_batches = 2;
  o.inner_epochs = 2;
  o.training.balance_alpha = 1e-2;
  GrpoRun whole(o, kPlain, toy_config(), DType::f64, 1 << 20);
  whole.run();
  CHECK(whole.curve("policy/updates").front() == 4.0);
  for (const int64_t tokens : {1, 40}) {
    GrpoRun cut(o, kPlain, toy_config(), DType::f64, tokens);
    cut.run();
    for (const char* name : {"policy/loss", "policy/kl", "policy/entropy", "grad_norm"}) {
      INFO(name);
      CHECK(cut.curve(name).front() ==
            Approx(whole.curve(name).front()).epsilon(1e-9).margin(1e-12));
    }
  }
}

TEST_CASE("grpo: a step's advantages are those of its groups, and what the update saw is stored") {
  Options o;
  o.steps = 1;
  o.kl_coef = 0.05;
  GrpoRun r(o, kPlain);
  r.run();
  const std::vector<SampleRow> rows = r.samples(1);
  REQUIRE(rows.size() == 16);
  for (int64_t group = 0; group < 4; ++group) {
    double sum = 0.0;
    for (const SampleRow& row : rows) {
      if (row.group_index != group) continue;
      sum += row.advantage.value();
      CHECK(row.rollout_logprobs.size() == row.ids.size());
      CHECK(row.trainer_logprobs.size() == row.ids.size());
      CHECK(row.reference_logprobs == row.trainer_logprobs);  // step 1: still the reference
      CHECK(row.truncated == (row.finish_reason == "length"));
      CHECK(read_rewards(r.store.database(), row.id).at(0).status == "ok");
    }
    CHECK(sum == Approx(0.0).margin(1e-9));
  }
  CHECK(r.curve("policy/kl").front() == Approx(0.0).margin(1e-12));
}

TEST_CASE("grpo: groups without signal are counted, and alone they move no weight") {
  Options o;
  o.prompts_per_step = 6;
  GrpoRun r(o, {"flat", "flat", "flat", "flat", "flat", "flat"});
  const GrpoResult result = r.run();
  CHECK(result.zero_signal_groups == 12);
  CHECK(r.curve("groups/zero_signal") == std::vector<double>{1.0, 1.0});
  CHECK(test::same_weights(r.weights, r.start));
  for (const SampleRow& row : r.samples(1)) {
    CHECK(row.zero_signal);
    CHECK(row.advantage == 0.0);
    CHECK_FALSE(row.dropped);
  }
}

TEST_CASE("grpo: what a step without an update could not measure is no number") {
  Options o;
  o.steps = 1;
  o.kl_coef = 0.0;
  GrpoRun r(o, {"flat", "flat"});
  r.run();
  CHECK(r.curve("policy/updates").front() == 0.0);
  CHECK(r.curve("policy/loss").front() == 0.0);
  for (const char* name : {"policy/entropy", "policy/prob_mean", "policy/ratio_mean", "grad_norm",
                           "lr", "batch/fill"}) {
    INFO(name);
    CHECK(std::isnan(r.curve(name).front()));
  }
  // All of one kind: the other has no length.
  CHECK(std::isnan(r.curve("length/right").front()) != std::isnan(r.curve("length/wrong").front()));
}

TEST_CASE("grpo: groups that cannot be judged are counted, dropped and teach nothing") {
  Options o;
  o.steps = 1;
  o.prompts_per_step = 2;
  o.max_unjudged = 0.6;
  GrpoRun r(o, {"bad", "any"});
  const GrpoResult result = r.run();
  CHECK(result.unjudged_groups == 1);
  CHECK(r.curve("groups/unjudged").front() == 0.5);
  int dropped = 0;
  for (const SampleRow& row : r.samples(1)) {
    if (!row.dropped) continue;
    ++dropped;
    CHECK_FALSE(row.advantage);
    CHECK_FALSE(row.reward);  // never a silent 0
    const RewardRow verdict = read_rewards(r.store.database(), row.id).at(0);
    CHECK(verdict.status == "bad_gold");
    CHECK_FALSE(verdict.value);
    CHECK(verdict.reason.value().find("unusable") != std::string::npos);
  }
  CHECK(dropped == 4);
  // The one group that could be judged gives the update that it gives alone.
  const double with = r.curve("grad_norm").front();
  CHECK(with > 0.0);
  CHECK(r.curve("reward/mean").front() == result.reward_last);
}

TEST_CASE("grpo: too many samples that cannot be judged stop the run with the reason") {
  Options o;
  o.prompts_per_step = 2;
  o.max_unjudged = 0.2;
  GrpoRun r(o, {"bad", "any"});
  std::string message, data;
  try {
    r.run();
  } catch (const StepError& error) {
    message = error.what();
    data = error.data;
    CHECK(error.step == 1);
  }
  INFO(message);
  CHECK(message.find("could not be judged") != std::string::npos);
  CHECK(message.find("--max-unjudged") != std::string::npos);
  CHECK(message.find("4 of 8") != std::string::npos);
  CHECK(message.find("row:1, sample 0: letters bad_gold: the gold is unusable") !=
        std::string::npos);
  CHECK(r.store.database().value<std::string>("SELECT json_extract(?, '$.samples[3].prompt')",
                                              data) == "row:1");
  CHECK(test::same_weights(r.weights, r.start));
  CHECK(r.committed_steps() == 0);
}

TEST_CASE("grpo: a gradient that is not finite stops the run and loses nothing written before") {
  Options o;
  o.steps = 20;
  o.training.save_every = 1;
  o.training.learning_rate = 1e25;
  GrpoRun r(o, kPlain);
  std::string message;
  try {
    r.run();
  } catch (const UserError& error) {
    message = error.what();
  }
  INFO(message);
  CHECK(message.find("finite") != std::string::npos);
  CHECK(message.find("step 1") != std::string::npos);
  CHECK(r.committed_steps() == 1);
  CHECK(r.checkpoint_steps().empty());  // its model writes nothing any more
  CHECK(r.samples(1).size() == 16);
}

TEST_CASE(
    "grpo: a step that fails leaves the step before it saved, to go on from the same prompts") {
  Options o;
  o.steps = 5;  // and none is saved on the way
  for (const int64_t staleness : {0, 1}) {
    o.staleness = staleness;
    const int64_t last = 2 + staleness;  // the whole step before the one that fails
    GrpoRun straight(o, kPlain), r(o, kPlain);
    std::atomic<int> scored{0};
    r.on_score = [&] {
      if (++scored > last * 16) throw std::runtime_error("the rule is broken");
    };
    CHECK_THROWS_WITH(r.run(), Contains("could not be judged"));
    REQUIRE(r.checkpoint_steps() == std::vector<int64_t>{last});
    const std::string name = "step-" + std::to_string(last);
    const LoadedModel loaded = load_model(r.ctx, r.dir / name, DType::f32);
    CHECK(test::same_weights(loaded.weights, r.weights));
    straight.run();
    r.on_score = {};
    r.resume_from(r.dir / name);
    r.run();
    for (int64_t step = last + 1; step <= 5; ++step) {
      INFO("staleness " << staleness << ", step " << step);
      REQUIRE(r.samples(step).size() == straight.samples(step).size());
      for (size_t i = 0; i < r.samples(step).size(); ++i)
        CHECK(r.samples(step)[i].prompt_id == straight.samples(step)[i].prompt_id);
    }
    if (staleness == 0) CHECK(test::same_weights(r.weights, straight.weights));
  }
}

TEST_CASE(
    "grpo: an update that fails within a step leaves the steps before, and its samples to see") {
  Options o;
  o.steps = 2;
  o.training.save_every = 1;
  o.mini_batches = 2;
  GrpoRun straight(o, kPlain), r(o, kPlain);
  r.run();
  straight.options.steps = r.options.steps = 3;
  straight.run();
  // In step 3 the first of the two updates goes astray, so that the second has no gradient.
  r.options.training.learning_rate = 1e25;
  r.resume_from(r.dir / "step-2");
  std::string message, data;
  try {
    r.run();
  } catch (const StepError& error) {
    message = error.what();
    data = error.data;
    CHECK(error.step == 3);
  }
  INFO(message);
  CHECK(message.find("not finite") != std::string::npos);
  CHECK(message.find("1 of the step's updates were made") != std::string::npos);
  CHECK(r.store.database().value<int>("SELECT json_array_length(?, '$.samples')", data) == 16);
  // The two steps before are there to the last row, with their checkpoints, and can be gone on
  // from.
  CHECK(r.committed_steps() == 2);
  CHECK(r.checkpoint_steps() == std::vector<int64_t>{1, 2});
  CHECK((r.samples(1).size() == 16 && r.samples(2).size() == 16));
  r.options.training.learning_rate = o.training.learning_rate;
  r.resume_from(r.dir / "step-2");
  r.run();
  CHECK(r.committed_steps() == 3);
  CHECK(test::same_weights(r.weights, straight.weights));
}

TEST_CASE("grpo: an interrupt keeps the last whole step, with a checkpoint that loads back equal") {
  Options o;
  o.steps = 30;
  SECTION("while a step is saved") {
    o.training.save_every = 2;
    GrpoRun r(o, kPlain);
    r.interrupt_at = 2;
    const GrpoResult result = r.run();
    CHECK(result.interrupted);
    CHECK(result.steps == 2);
    CHECK(r.committed_steps() == 2);
    CHECK(r.checkpoint_steps() == std::vector<int64_t>{2});
    const LoadedModel loaded = load_model(r.ctx, r.dir / "step-2", DType::f32);
    CHECK(test::same_weights(loaded.weights, r.weights));
  }
  SECTION("while the third step is sampled and judged") {
    GrpoRun r(o, kPlain);
    std::atomic<int> scored{0};
    r.on_score = [&] {
      if (++scored == 2 * 16 + 1) r.interrupt.request();
    };
    const GrpoResult result = r.run();
    CHECK(result.interrupted);
    CHECK(result.steps == 2);
    CHECK(r.committed_steps() == 2);
    CHECK(r.samples(3).empty());
    REQUIRE(r.checkpoint_steps() == std::vector<int64_t>{2});
    const LoadedModel loaded = load_model(r.ctx, r.dir / "step-2", DType::f32);
    CHECK(test::same_weights(loaded.weights, r.weights));
  }
  SECTION("before the first") {
    GrpoRun r(o, kPlain);
    r.interrupt.request();
    const GrpoResult result = r.run();
    CHECK(result.interrupted);
    CHECK(result.steps == 0);
    CHECK(r.committed_steps() == 0);
    CHECK(r.checkpoint_steps().empty());
  }
}

TEST_CASE("grpo: rows that cannot be written stop the run, and those before them stay") {
  Options o;
  o.steps = 4;
  GrpoRun r(o, kPlain);
  // Step 2 is in the database already: its rows, written beside the rollout of step 3, are refused.
  {
    StepWriter taken(r.store, {r.id, "grpo", 2}, 0);
    taken.commit({});
  }
  std::string message;
  try {
    r.run();
  } catch (const UserError& error) {
    message = error.what();
  }
  CHECK(message.find("step 2 of run 1 is in the database already") != std::string::npos);
  CHECK(r.committed_steps() == 2);
  CHECK(r.samples(1).size() == 16);
  CHECK(r.samples(2).empty());
}

TEST_CASE("grpo: a step's phases are logged, and together they are no more than the step") {
  Options o;
  o.steps = 3;
  GrpoRun r(o, kPlain);
  const GrpoResult result = r.run();
  const StepSeconds& s = result.seconds;
  CHECK(s.rollout > 0.0);
  CHECK(s.update > 0.0);
  CHECK(s.rollout + s.update + s.database <= s.whole);
  CHECK(r.curve("seconds/database").size() == 3);
  CHECK(r.curve("seconds/rollout").size() == 3);
}
