// The switches of a GRPO run, one by one, on the toy: what each changes in the run and in its rows.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "grpo/shaping.h"
#include "tests/grpo/grpo_run.h"
#include "tests/support/catch.h"

using namespace temper;
using namespace temper::test;

namespace {

std::vector<std::string> golds(std::initializer_list<const char*> list) {
  return {list.begin(), list.end()};
}

double sum(const std::vector<float>& values) {
  double s = 0.0;
  for (float x : values) s += static_cast<double>(x);
  return s;
}

double rule_value(GrpoRun& r, const SampleRow& row) {
  return read_rewards(r.store.database(), row.id).at(0).value.value();
}

}  // namespace

TEST_CASE("switches: no cut into micro-batches changes loss or gradient, under any aggregation") {
  const auto run = [](Aggregation aggregation, PolicyObjective objective, int64_t micro_batch) {
    Options o;
    o.steps = 1;
    o.kl_coef = 0.1;
    o.entropy_coef = 0.01;
    o.mini_batches = 2;
    o.inner_epochs = 2;
    o.shuffle_mini_batches = true;
    o.aggregation = aggregation;
    o.objective = objective;
    o.rollout_correction = "token";
    GrpoRun r(o, golds({"any", "flat", "any", "any", "flat", "any"}), toy_config(), DType::f64,
              micro_batch);
    r.run();
    return std::pair(r.curve("policy/loss").front(), r.curve("grad_norm").front());
  };
  for (const auto aggregation : {Aggregation::sequence_mean, Aggregation::token_mean,
                                 Aggregation::constant, Aggregation::prompt_mean})
    for (const auto objective : {PolicyObjective::clipped, PolicyObjective::gspo}) {
      const auto [loss, norm] = run(aggregation, objective, 1 << 20);
      for (const int64_t tokens : {1, 40}) {
        const auto [cut_loss, cut_norm] = run(aggregation, objective, tokens);
        CHECK(cut_loss == Approx(loss).epsilon(1e-9).margin(1e-12));
        CHECK(cut_norm == Approx(norm).epsilon(1e-9));
      }
    }
}

TEST_CASE("switches: stored advantages are those of the kind that was asked for") {
  for (const auto kind :
       {AdvantageKind::group_std, AdvantageKind::group_mean, AdvantageKind::batch_std,
        AdvantageKind::rloo, AdvantageKind::reinforce_pp}) {
    Options o;
    o.steps = 1;
    o.advantage = kind;
    GrpoRun r(o, kPlain);
    r.run();
    std::vector<ComparedSample> batch;
    const std::vector<SampleRow> rows = r.samples(1);
    for (const SampleRow& row : rows)
      batch.push_back({row.group_index, row.reward.value(), static_cast<int64_t>(row.ids.size())});
    const std::vector<double> want = batch_advantages(kind, batch);
    for (size_t i = 0; i < rows.size(); ++i) CHECK(rows[i].advantage == want[i]);
  }
}

TEST_CASE("switches: dynamic sampling fills the batch with groups that have a signal") {
  Options o;
  o.steps = 2;
  o.prompts_per_step = 3;
  o.dynamic_sampling = true;
  o.oversample = 1.5;  // 5 prompts a generation
  GrpoRun r(o, golds({"flat", "any", "flat", "flat", "any", "flat", "flat", "flat"}));
  r.run();
  int64_t drawn = 0;
  for (const int64_t step : {1, 2}) {
    std::map<int64_t, std::string> groups;  // reason
    for (const SampleRow& row : r.samples(step)) {
      groups[row.group_index] = row.dropped.value_or("");
      CHECK(row.advantage.has_value() == !row.dropped.has_value());
      if (!row.dropped) CHECK_FALSE(row.zero_signal);
    }
    int64_t used = 0;
    for (const auto& [group, reason] : groups) {
      used += reason.empty();
      const bool known = reason.empty() || reason == "the batch was full" ||
                         reason == "all rewards of the group are equal";
      CHECK(known);
    }
    CHECK(used == 3);
    drawn += static_cast<int64_t>(groups.size());
    CHECK(r.curve("groups/prompts_drawn")[static_cast<size_t>(step - 1)] ==
          static_cast<double>(drawn));
  }
  CHECK(r.curve("groups/generations").front() >= 2.0);
}

TEST_CASE("switches: the generation limit ends dynamic sampling with a warning") {
  Options o;
  o.steps = 1;
  o.prompts_per_step = 2;
  o.dynamic_sampling = true;
  o.max_generations = 3;
  GrpoRun r(o, golds({"flat", "flat"}));
  r.run();
  CHECK(r.curve("groups/generations") == std::vector<double>{3.0});
  CHECK(r.curve("groups/sampled") == std::vector<double>{6.0});
  CHECK(r.curve("groups/dropped") == std::vector<double>{1.0});
  CHECK(r.sink.str().find("0 of 2 groups have a signal after 3 generations") != std::string::npos);
  CHECK(same_weights(r.weights, r.start));
  CHECK(r.samples(1).size() == 24);  // what was sampled in vain is kept as well
}

TEST_CASE("switches: an over-sampled batch takes groups with a signal first, then fills up") {
  Options o;
  o.steps = 1;
  o.prompts_per_step = 3;
  o.oversample = 2.0;
  GrpoRun r(o, golds({"flat", "any", "flat", "flat", "any", "flat"}));
  r.run();
  std::set<int64_t> used;
  int64_t with_signal = 0;
  for (const SampleRow& row : r.samples(1))
    if (!row.dropped && used.insert(row.group_index).second) with_signal += !row.zero_signal;
  CHECK(used.size() == 3);
  CHECK(with_signal == 2);
}

TEST_CASE("switches: truncated completions carry no loss under the filter") {
  Options o;
  o.steps = 1;
  o.overlong_filter = true;
  GrpoRun r(o, kPlain);
  r.run();
  int64_t carrying = 0, cut = 0;
  for (const SampleRow& row : r.samples(1)) {
    CHECK(row.dropped.has_value() == row.truncated);
    if (row.truncated) CHECK(row.dropped == "cut off at the length limit");
    CHECK(row.trainer_logprobs.empty() == row.truncated);  // it is not even computed
    cut += row.truncated;
    if (!row.truncated) carrying += static_cast<int64_t>(row.ids.size());
  }
  CHECK(cut > 0);
  CHECK(r.curve("length/filtered").front() == Approx(static_cast<double>(cut) / 16.0));
  const StepRow step = read_steps(r.store.database(), r.id, "grpo").front();
  CHECK(step.trained_tokens == carrying);
}

TEST_CASE("switches: the soft overlong punishment lowers what is compared, not what rules said") {
  Options o;
  o.steps = 1;
  o.overlong_buffer = 6;
  o.overlong_weight = 0.5;
  GrpoRun r(o, kPlain);
  r.run();
  for (const SampleRow& row : r.samples(1)) {
    const auto tokens = static_cast<int64_t>(row.ids.size());
    CHECK(row.reward.value() ==
          Approx(rule_value(r, row) + 0.5 * overlong_penalty(tokens, 8, 6)).margin(1e-12));
  }
  CHECK(r.curve("reward/total").front() < r.curve("reward/mean").front());
}

TEST_CASE("switches: a KL in the reward is subtracted from it, and is no term of the loss") {
  Options o;
  o.steps = 2;
  o.kl_coef = 0.5;
  o.kl_in = KlPlace::reward;
  o.kl_estimator = KlEstimator::k1;
  GrpoRun r(o, kPlain);
  r.run();
  double moved = 0.0;
  for (const SampleRow& row : r.samples(2)) {
    const double kl = sum(row.trainer_logprobs) - sum(row.reference_logprobs);
    CHECK(row.reward.value() == Approx(rule_value(r, row) - 0.5 * kl).margin(1e-4));
    moved = std::max(moved, std::abs(kl));
  }
  CHECK(moved > 0.0);
  CHECK(r.curve("policy/kl_loss") == std::vector<double>{0.0, 0.0});
  // And yet it is measured: k1 of all tokens, and k3 of the same.
  double k1 = 0.0, k3 = 0.0, tokens = 0.0;
  for (const SampleRow& row : r.samples(2))
    for (size_t t = 0; t < row.ids.size(); ++t, ++tokens) {
      const double gap = double{row.reference_logprobs[t]} - double{row.trainer_logprobs[t]};
      k1 -= gap, k3 += std::exp(gap) - gap - 1.0;
    }
  CHECK(r.curve("policy/k1").at(1) == Approx(k1 / tokens).margin(1e-5));
  CHECK(r.curve("policy/kl").at(1) == r.curve("policy/k1").at(1));
  CHECK(r.curve("policy/k3").at(1) == Approx(k3 / tokens).margin(1e-5));
  CHECK(r.curve("policy/k3").at(1) > 0.0);
  CHECK(r.curve("seconds/scoring").at(1) > 0.0);
}

TEST_CASE("switches: a stale rollout is one version behind, and is weighed for it") {
  Options o;
  o.steps = 3;
  GrpoRun fresh(o, kPlain);
  o.staleness = 1;
  GrpoRun stale(o, kPlain);
  fresh.run(), stale.run();
  const auto first_version = [](GrpoRun& r, int64_t step) {
    return r.samples(step).front().policy_version;
  };
  CHECK(first_version(fresh, 3) == 2);
  CHECK(first_version(stale, 1) == 0);
  CHECK(first_version(stale, 2) == 0);
  CHECK(first_version(stale, 3) == 1);
  CHECK(stale.curve("mismatch/staleness") == std::vector<double>{0.0, 1.0, 1.0});
  CHECK(fresh.curve("mismatch/max").back() <= 1e-4);
  CHECK(stale.curve("mismatch/max").back() > 1e-4);
  CHECK(loss_params(stale.options).correction.kind == CorrectionKind::token);
  CHECK(loss_params(fresh.options).correction.kind == CorrectionKind::none);
  GrpoRun plain(o, kPlain);
  plain.options.rollout_correction = "none";
  plain.run();
  CHECK_FALSE(same_weights(plain.weights, stale.weights));
}

TEST_CASE("switches: an interrupt while the next rollout is drawn keeps the present one") {
  Options o;
  o.staleness = 1;
  o.steps = 5;
  GrpoRun straight(o, kPlain), r(o, kPlain), resumed(o, kPlain);
  straight.run();
  std::atomic<int> scored{0};
  r.on_score = [&] {
    if (++scored == 2 * 16 + 3) r.interrupt.request();  // in the rollout of step 3
  };
  const GrpoResult result = r.run();
  CHECK(result.interrupted);
  // The update of step 2 would take away the weights that the rollout of step 3 must come of.
  CHECK(result.steps == 1);
  CHECK(r.committed_steps() == 1);
  REQUIRE(r.checkpoint_steps() == std::vector<int64_t>{1});
  resumed.resume_from(r.dir / "step-1");
  std::atomic<int> again{0};
  resumed.on_score = [&] { ++again; };
  resumed.run();
  CHECK(again == 3 * 16);  // the rollout of step 2 is neither drawn nor judged again
  CHECK(same_weights(straight.weights, resumed.weights));
  CHECK(straight.curve("policy/loss").back() == resumed.curve("policy/loss").back());
}

TEST_CASE("switches: the reference is renewed every N steps, and the optimiser with it") {
  Options o;
  o.steps = 4;
  o.kl_coef = 0.1;
  o.reference_every = 2;
  o.reset_optimizer = true;
  GrpoRun r(o, kPlain);
  r.run();
  const std::vector<double> kl = r.curve("policy/kl");
  CHECK(kl[0] == Approx(0.0).margin(1e-12));
  CHECK(kl[1] > 1e-6);
  CHECK(kl[2] == Approx(0.0).margin(1e-12));  // the policy of step 2 has become the reference
  CHECK(kl[3] > 1e-6);
  CHECK(r.curve("policy/reference_age") == std::vector<double>{1.0, 2.0, 1.0, 2.0});
  CHECK(r.curve("policy/reference_refreshed") == std::vector<double>{0.0, 1.0, 0.0, 1.0});
  CHECK(same_weights(r.weights, r.reference));
  o.reset_optimizer = false;
  GrpoRun kept(o, kPlain);
  kept.run();
  CHECK(kept.curve("grad_norm")[2] == r.curve("grad_norm")[2]);
  CHECK(kept.curve("grad_norm")[3] != r.curve("grad_norm")[3]);
}

TEST_CASE("switches: an entropy bonus alone moves the policy, towards more entropy") {
  Options o;
  o.steps = 4;
  o.entropy_coef = 1.0;
  o.training.learning_rate = 3e-3;
  GrpoRun r(o, golds({"flat", "flat", "flat", "flat"}));
  r.run();
  const std::vector<double> entropy = r.curve("policy/entropy");
  CHECK(entropy.back() > entropy.front());
  CHECK(r.curve("policy/entropy_bonus").front() == Approx(entropy.front()).epsilon(0.2));
}

TEST_CASE("switches: several updates of one rollout clip, and every objective learns") {
  for (const auto objective :
       {PolicyObjective::clipped, PolicyObjective::gspo, PolicyObjective::cispo}) {
    Options o;
    o.steps = 6;
    o.samples_per_prompt = 8;
    o.mini_batches = 2;
    o.inner_epochs = 2;
    o.objective = objective;
    if (objective == PolicyObjective::gspo) o.clip_low = 0.03, o.clip_high = 0.04;
    if (objective == PolicyObjective::cispo) o.clip_low = 1.0, o.clip_high = 2.0;
    GrpoRun r(o, kPlain);
    r.run();
    const std::vector<double> reward = r.curve("reward/mean");
    CHECK(reward.back() > reward.front() + 0.1);
    CHECK(r.curve("policy/updates").front() == 4.0);
    double clipped = 0.0;
    for (double x : r.curve("policy/clip_high")) clipped += x;
    CHECK(clipped > 0.0);
  }
}

TEST_CASE("switches: with the sampling mask kept, rollout and trainer agree about the cut") {
  Options o;
  o.steps = 4;
  o.top_p = 0.7;
  o.top_k = 40;
  o.kl_coef = 0.05;
  GrpoRun whole(o, kPlain);
  o.keep_sampling_mask = true;
  GrpoRun cut(o, kPlain);
  whole.run(), cut.run();
  for (double m : cut.curve("mismatch/max")) CHECK(m <= 1e-4);
  CHECK(cut.curve("policy/entropy").front() < whole.curve("policy/entropy").front());
  CHECK(cut.curve("policy/kl").front() == Approx(0.0).margin(1e-12));  // the reference is cut alike
  CHECK_FALSE(same_weights(cut.weights, whole.weights));
  const std::vector<SampleRow> rows = cut.samples(1), plain = whole.samples(1);
  for (size_t i = 0; i < rows.size(); ++i) {
    const SampleRow& row = rows[i];
    CHECK(row.ids == plain[i].ids);  // the same draws
    REQUIRE(row.kept_counts.size() == row.ids.size());
    size_t at = 0;
    for (size_t t = 0; t < row.ids.size(); ++t) {
      const auto begin = row.kept_ids.begin() + static_cast<std::ptrdiff_t>(at);
      const auto end = begin + row.kept_counts[t];
      CHECK(row.kept_counts[t] <= 40);
      CHECK(std::is_sorted(begin, end));
      CHECK(std::count(begin, end, row.ids[t]) == 1);  // what was drawn was kept
      CHECK(row.rollout_logprobs[t] >= plain[i].rollout_logprobs[t]);
      at += static_cast<size_t>(row.kept_counts[t]);
    }
    CHECK(at == row.kept_ids.size());
    CHECK(plain[i].kept_counts.empty());
  }
}

TEST_CASE("switches: routing replay sends tokens where the rollout did") {
  Options o;
  o.steps = 3;
  o.mini_batches = 2;
  o.inner_epochs = 2;
  o.kl_coef = 0.05;
  o.training.learning_rate = 3e-2;
  GrpoRun r(o, kPlain);  // on by default where there are experts
  r.run();
  const int64_t layers = count_moe_layers(r.weights.view);
  REQUIRE(layers > 0);
  const int64_t per_token = layers * r.config.num_experts_per_tok;
  for (const SampleRow& row : r.samples(2)) {
    const PromptRow prompt = read_prompt(r.store.database(), row.prompt_id).value();
    const auto tokens = static_cast<int64_t>(prompt.ids.size() + row.ids.size()) - 1;
    CHECK(static_cast<int64_t>(row.experts.size()) == tokens * per_token);
    for (const uint16_t expert : row.experts) CHECK(expert < r.config.n_routed_experts);
  }
  // The first update of a step has the rollout's weights; the later ones have moved.
  for (double m : r.curve("mismatch/max")) CHECK(m <= 1e-4);
  CHECK(r.curve("routing/agreement").front() < 1.0);
  CHECK(r.curve("routing/agreement").front() > 0.5);
  CHECK(r.curve("routing/differing_tokens").front() > 0.0);

  // With one update the gates agree, and replay changes no more than rounding.
  o.mini_batches = o.inner_epochs = 1;
  o.steps = 1;
  GrpoRun with(o, kPlain);
  o.replay_routing = RoutingReplay::off;
  GrpoRun without(o, kPlain);
  with.run(), without.run();
  CHECK(with.curve("routing/agreement") == std::vector<double>{1.0});
  CHECK(same_weights(with.weights, without.weights));
  CHECK(without.curve("routing/agreement").empty());
}

TEST_CASE("switches: recompute and micro-batches change nothing under replay") {
  Options o;
  o.steps = 1;
  o.mini_batches = 2;
  GrpoRun plain(o, kPlain, toy_config(), DType::f64, 1 << 20);
  o.training.recompute = true;
  GrpoRun recomputed(o, kPlain, toy_config(), DType::f64, 40);
  plain.run(), recomputed.run();
  for (const char* name : {"policy/loss", "grad_norm", "routing/agreement"})
    CHECK(recomputed.curve(name).front() == Approx(plain.curve(name).front()).epsilon(1e-9));
}
