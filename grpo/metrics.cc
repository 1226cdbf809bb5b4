#include "grpo/metrics.h"

#include <algorithm>
#include <cmath>

#include "grpo/spread.h"
#include "grpo/text_metrics.h"
#include "model/training/loss_scale_metrics.h"
#include "model/training/machine_metrics.h"

namespace temper {
namespace {

// What no sample or token of the step could say is not 0: NULL in the database.
const double kNotMeasured = std::nan("");
double mean_of(const Spread& s) {
  return s.count() > 0 ? s.mean() : kNotMeasured;
}

void add_spread(StepWriter& writer, const std::string& name, const Spread& s) {
  const auto known = [&](double value) { return s.count() > 0 ? value : kNotMeasured; };
  writer.add_metric(name + "/mean", known(s.mean()));
  writer.add_metric(name + "/std", known(s.std()));
  writer.add_metric(name + "/min", known(s.least()));
  writer.add_metric(name + "/max", known(s.most()));
}

double share(double part, double whole) {
  return whole > 0.0 ? part / whole : 0.0;
}

// Values of one component beside whether the sample is right.
struct Drift {
  std::vector<double> value, right;
};

void record_rewards(const GrpoJob& job, StepWriter& writer, const std::vector<GrpoGroup>& groups) {
  Spread reward, total, right;
  std::vector<Spread> components(job.reward.size());
  std::vector<Drift> drift(job.reward.size());
  for (const GrpoGroup& group : groups)
    for (const GrpoSample& s : group.samples) {
      if (s.reward.judged) reward.add(s.reward.value), right.add(is_right(job.reward, s));
      if (s.reward.judged && group.used()) total.add(s.total);
      for (size_t c = 0; c < components.size(); ++c)
        if (const Verdict& v = s.reward.components[c].verdict; was_judged(v.status)) {
          components[c].add(v.value);
          drift[c].value.push_back(v.value);
          drift[c].right.push_back(is_right(job.reward, s));
        }
    }
  add_spread(writer, "reward", reward);
  writer.add_metric("reward/total", mean_of(total));
  writer.add_metric("reward/pass_at_1", mean_of(right));
  for (size_t c = 0; c < components.size(); ++c) {
    writer.add_metric("reward/" + job.reward.name(c) + "/mean", mean_of(components[c]));
    writer.add_metric("reward/" + job.reward.name(c) + "/std", components[c].std());
    writer.add_metric("reward/" + job.reward.name(c) + "/with_right",
                      correlation(drift[c].value, drift[c].right));
  }
}

void record_groups_of_step(const GrpoJob& job, StepWriter& writer, const StepBatch& batch) {
  double zero = 0.0, unjudged = 0.0, dropped = 0.0, all_right = 0.0, all_wrong = 0.0, solved = 0.0;
  for (const GrpoGroup& group : batch.groups) {
    zero += group.zero_signal;
    unjudged += !group.judged;
    dropped += !group.dropped.empty();
    if (!group.judged) continue;
    int64_t right = 0;
    for (const GrpoSample& s : group.samples) right += is_right(job.reward, s);
    all_wrong += right == 0;
    solved += right > 0;
    all_right += right == static_cast<int64_t>(group.samples.size());
  }
  const double n = static_cast<double>(batch.groups.size());
  writer.add_metric("groups/sampled", n);
  writer.add_metric("groups/zero_signal", share(zero, n));
  writer.add_metric("groups/all_right", share(all_right, n));
  writer.add_metric("groups/all_wrong", share(all_wrong, n));
  writer.add_metric("groups/unjudged", share(unjudged, n));
  writer.add_metric("groups/dropped", share(dropped, n));
  writer.add_metric("groups/generations", static_cast<double>(batch.generations));
  writer.add_metric("groups/prompts_drawn", static_cast<double>(batch.prompts_drawn));
  writer.add_metric("reward/pass_at_g", share(solved, n - unjudged));
}

void record_advantages(StepWriter& writer, const std::vector<GrpoGroup>& groups) {
  Spread advantage;
  double tokens = 0.0, positive = 0.0, negative = 0.0, filtered = 0.0;
  for (const GrpoGroup& group : groups) {
    if (!group.used()) continue;
    for (const GrpoSample& s : group.samples) {
      const double n = static_cast<double>(s.tokens());
      advantage.add(s.advantage);
      tokens += n;
      positive += s.advantage > 0.0 ? n : 0.0;
      negative += s.advantage < 0.0 ? n : 0.0;
      filtered += s.filtered;
    }
  }
  add_spread(writer, "advantage", advantage);
  writer.add_metric("advantage/positive_tokens", share(positive, tokens));
  writer.add_metric("advantage/negative_tokens", share(negative, tokens));
  writer.add_metric("length/filtered", share(filtered, advantage.count()));
}

void record_lengths(const GrpoJob& job, StepWriter& writer, const std::vector<GrpoGroup>& groups) {
  Spread length, finished, right, wrong, prompt, repetition, reflection, foreign;
  double truncated = 0.0;
  for (const GrpoGroup& group : groups) {
    prompt.add(static_cast<double>(job.prompts[group.prompt].ids.size()));
    for (const GrpoSample& s : group.samples) {
      const double tokens = static_cast<double>(s.tokens());
      length.add(tokens);
      truncated += s.truncated();
      if (!s.truncated()) finished.add(tokens);
      if (s.reward.judged) (is_right(job.reward, s) ? right : wrong).add(tokens);
      repetition.add(repetition_rate(s.rollout.ids));
      reflection.add(static_cast<double>(reflective_words(s.text)));
      foreign.add(foreign_script_share(s.text));
    }
  }
  add_spread(writer, "length", length);
  writer.add_metric("length/p50", length.quantile(0.5));
  writer.add_metric("length/p95", length.quantile(0.95));
  writer.add_metric("length/finished", mean_of(finished));
  writer.add_metric("length/right", mean_of(right));
  writer.add_metric("length/wrong", mean_of(wrong));
  writer.add_metric("length/prompt", prompt.mean());
  writer.add_metric("length/truncated", share(truncated, length.count()));
  writer.add_metric("text/repetition", repetition.mean());
  writer.add_metric("text/reflective_words", reflection.mean());
  writer.add_metric("text/foreign_script", foreign.mean());
}

void record_mismatch(StepWriter& writer, const StepBatch& batch, const Mismatch& m) {
  writer.add_metric("mismatch/max", m.max);
  writer.add_metric("mismatch/mean", m.mean);
  writer.add_metric("mismatch/std", m.std);
  writer.add_metric("mismatch/kl", m.kl);
  writer.add_metric("mismatch/k3", m.k3);
  writer.add_metric("mismatch/prob_max", m.prob_max);
  writer.add_metric("mismatch/prob_mean", m.prob_mean);
  writer.add_metric("mismatch/prob_correlation", m.prob_correlation);
  writer.add_metric("mismatch/weight_mean", m.weight_mean);
  writer.add_metric("mismatch/weight_max", m.weight_max);
  writer.add_metric("mismatch/ess", m.ess);
  writer.add_metric("mismatch/far", m.far);
  writer.add_metric("mismatch/corrected", m.corrected);
  writer.add_metric("mismatch/masked_sequences", m.masked_sequences);
  writer.add_metric("mismatch/staleness",
                    static_cast<double>(batch.step - 1 - batch.policy_version));
}

// Against the reference: under the policy in training, or, where the KL is in the reward, under the
// policy that was scored.
struct ReferenceKl {
  double chosen = 0.0, k1 = 0.0, k3 = 0.0;
};
ReferenceKl reference_kl(const GrpoOptions& o, const StepOutcome& outcome) {
  const UpdateReport& u = outcome.update;
  if (!o.kl_in_reward())
    return {u.token_mean(u.sums.kl), u.token_mean(u.sums.k1), u.token_mean(u.sums.k3)};
  Spread chosen, k1, k3;
  for (const GrpoGroup& group : outcome.batch.groups)
    for (const GrpoSample& s : group.samples)
      for (size_t t = 0; t < s.reference.size(); ++t) {
        chosen.add(kl_term(o.kl_estimator, s.old[t], s.reference[t]).value);
        k1.add(s.old[t] - s.reference[t]);
        k3.add(kl_term(KlEstimator::k3, s.old[t], s.reference[t]).value);
      }
  return {chosen.mean(), k1.mean(), k3.mean()};
}

void record_policy(const GrpoJob& job, StepWriter& writer, const StepOutcome& outcome) {
  const UpdateReport& u = outcome.update;
  const GrpoTokenSums& s = u.sums;
  writer.add_metric("policy/loss", u.update_mean(s.loss));
  writer.add_metric("policy/policy_loss", u.update_mean(s.policy_loss));
  writer.add_metric("policy/kl_loss", u.update_mean(s.kl_loss));
  writer.add_metric("policy/entropy_bonus", u.update_mean(s.entropy_bonus));
  const ReferenceKl kl = reference_kl(job.options, outcome);
  writer.add_metric("policy/kl", kl.chosen);
  writer.add_metric("policy/k1", kl.k1);
  writer.add_metric("policy/k3", kl.k3);
  writer.add_metric("policy/entropy", u.token_mean(s.entropy));
  writer.add_metric("policy/prob_mean", u.token_mean(u.prob_sum));
  writer.add_metric("policy/kl_old", u.token_mean(s.old_minus_policy));
  writer.add_metric("policy/clip_low", u.token_mean(s.clipped_low));
  writer.add_metric("policy/clip_high", u.token_mean(s.clipped_high));
  writer.add_metric("policy/clip_dual", u.token_mean(s.dual_clipped));
  writer.add_metric("policy/off_policy", u.token_mean(s.off_policy));
  writer.add_metric("policy/ratio_mean", u.token_mean(s.ratio_sum));
  writer.add_metric("policy/ratio_max", u.trained_tokens > 0 ? s.ratio_max : kNotMeasured);
  writer.add_metric("policy/updates", static_cast<double>(u.updates));
  writer.add_metric("policy/skipped_updates", static_cast<double>(u.skipped));
  writer.add_metric("policy/trained_samples", static_cast<double>(u.trained_samples));
  if (!job.options.has_reference()) return;
  const int64_t every = job.options.reference_every, step = outcome.batch.step;
  writer.add_metric("policy/reference_age",
                    static_cast<double>(every > 0 ? (step - 1) % every + 1 : step));
  writer.add_metric("policy/reference_refreshed", outcome.reference_refreshed);
}

// How far the gates have moved from where the rollout went.
void record_routing(const GrpoJob& job, StepWriter& writer, const UpdateReport& u) {
  if (!replays_routing(job.options, job.config)) return;
  const auto tokens = static_cast<double>(u.replayed_tokens);
  const auto places =
      static_cast<double>(count_moe_layers(job.weights.view) * job.config.num_experts_per_tok);
  if (tokens == 0.0) return;
  writer.add_metric("routing/agreement",
                    1.0 - share(static_cast<double>(u.differing_experts), tokens * places));
  writer.add_metric("routing/differing_tokens",
                    share(static_cast<double>(u.differing_tokens), tokens));
}

void record_training(const GrpoJob& job, StepWriter& writer, const StepOutcome& outcome) {
  const UpdateReport& u = outcome.update;
  const auto known = [&](double value) { return u.updates > 0 ? value : kNotMeasured; };
  writer.add_metric("grad_norm", known(u.last.grad_norm));
  writer.add_metric("grad_norm_max", known(u.grad_norm_max));
  if (u.update_norm) writer.add_metric("update_norm", *u.update_norm);
  writer.add_metric("lr", known(u.last.lr));
  add_loss_scale(writer, u.last);
  if (job.options.training.mtp_weight > 0.0) writer.add_metric("mtp_loss", known(u.last.mtp_loss));
  if (job.config.n_routed_experts > 0) {
    writer.add_metric("balance_loss", known(u.last.balance_loss));
    writer.add_metric("load_max_over_mean", known(u.last.load_max_over_mean));
  }
}

void record_speed(const GrpoJob& job, StepWriter& writer, const StepOutcome& outcome) {
  const UpdateReport& u = outcome.update;
  double generated = 0.0, read = 0.0, lengths = 0.0, samples = 0.0;
  for (const GrpoGroup& group : outcome.batch.groups) {
    const auto prompt = static_cast<double>(job.prompts[group.prompt].ids.size());
    read += prompt;  // once a group
    for (const GrpoSample& s : group.samples) {
      generated += static_cast<double>(s.tokens());
      lengths += prompt + static_cast<double>(s.tokens());
      ++samples;
    }
  }
  const double context = share(lengths, 2.0 * samples);  // a token sees half of its sequence
  const MachineMetrics machine(job.ctx, job.config, job.weights.storage.view.dtype);
  machine.add_rollout(writer, {read + generated, context, outcome.batch.seconds});
  machine.add_training(writer,
                       {static_cast<double>(u.packed_tokens), context, outcome.update_seconds});
  machine.add_memory(writer);
  writer.add_metric("memory/cache", static_cast<double>(outcome.batch.cache_bytes));
  writer.add_metric("memory/cache_in_use", outcome.batch.cache_share);
  writer.add_metric("seconds/rollout", outcome.batch.seconds);
  writer.add_metric("seconds/recording", outcome.batch.recording_seconds);
  for (size_t c = 0; c < job.reward.size(); ++c)
    if (job.reward.waits(c))
      writer.add_metric("seconds/reward/" + job.reward.name(c),
                        seconds_after_rollout(job.reward, c, outcome.batch.groups));
  writer.add_metric("seconds/update", outcome.update_seconds);
  writer.add_metric("seconds/scoring", outcome.scoring_seconds);
  writer.add_metric("seconds/database", outcome.database_seconds);
  writer.add_metric("speed/rollout_steps", static_cast<double>(outcome.batch.steps));
  writer.add_metric("speed/rollout_starved", static_cast<double>(outcome.batch.starved));
  writer.add_metric("speed/rollout", share(generated, outcome.batch.seconds));
  writer.add_metric("speed/train",
                    share(static_cast<double>(u.trained_tokens), outcome.update_seconds));
  writer.add_metric("batch/micro_batches", static_cast<double>(u.micro_batches));
  const double packed = u.micro_batches > 0 ? static_cast<double>(u.packed_tokens) /
                                                  static_cast<double>(u.micro_batches)
                                            : kNotMeasured;
  writer.add_metric("batch/packed_tokens", packed);
  writer.add_metric("batch/fill", packed / static_cast<double>(job.micro_batch_tokens));
}

}  // namespace

double seconds_after_rollout(const CompositeReward& reward, size_t component,
                             const std::vector<GrpoGroup>& groups) {
  if (!reward.waits(component)) return 0.0;
  double microseconds = 0.0;
  for (const GrpoGroup& group : groups)
    for (const GrpoSample& s : group.samples)
      if (component < s.reward.components.size())
        microseconds += static_cast<double>(s.reward.components[component].verdict.microseconds);
  return microseconds * 1e-6;
}

double seconds_after_rollout(const CompositeReward& reward, const std::vector<GrpoGroup>& groups) {
  double seconds = 0.0;
  for (size_t c = 0; c < reward.size(); ++c) seconds += seconds_after_rollout(reward, c, groups);
  return seconds;
}

bool is_right(const CompositeReward& reward, const GrpoSample& sample) {
  return reward.is_right(sample.reward);
}

double mean_reward(const std::vector<GrpoGroup>& groups) {
  Spread reward;
  for (const GrpoGroup& group : groups)
    for (const GrpoSample& s : group.samples)
      if (s.reward.judged) reward.add(s.reward.value);
  return reward.mean();
}

void record_metrics(const GrpoJob& job, StepWriter& writer, const StepOutcome& outcome) {
  const std::vector<GrpoGroup>& groups = outcome.batch.groups;
  record_rewards(job, writer, groups);
  record_groups_of_step(job, writer, outcome.batch);
  record_advantages(writer, groups);
  record_lengths(job, writer, groups);
  record_mismatch(writer, outcome.batch, outcome.mismatch);
  record_policy(job, writer, outcome);
  record_routing(job, writer, outcome.update);
  record_training(job, writer, outcome);
  record_speed(job, writer, outcome);
}

}  // namespace temper
