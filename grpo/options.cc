#include "grpo/options.h"

#include "grpo/presets.h"
#include "rollout/sampling_params.h"

namespace temper {
namespace {

void add_input_options(OptionsTable& table, GrpoOptions& o) {
  table.group("Input and output");
  table.add("model", &o.model, "checkpoint folder to start from").value_name("DIR").required();
  table
      .add("data", &o.data,
           "JSONL of prompts with gold answers (GSM8K, MATH, a built-in task); may be given "
           "several times")
      .value_name("FILE")
      .required();
  table.add("out", &o.out, "run directory: run.db, checkpoints and the final model")
      .value_name("DIR")
      .required();
  table.add("reward", &o.reward, "rules and weights, e.g. \"math=1,format=0.2\"")
      .value_name("SPEC")
      .required();
  table
      .add("template", &o.chat_template,
           "chat template, if the tokenizer does not name a known one")
      .value_name("NAME");
  table.add("system", &o.system, "a system message for rows without one");
  table.add("suffix", &o.suffix,
            "put behind the last user text as it stands: begin it with a space");
  table.add("steps", &o.steps, "rollouts").at_least(1);
  table
      .add("max-unjudged", &o.max_unjudged,
           "stop when more than this part of a step's samples could not be judged")
      .range(0, 1);
  table.add("reward-timeout", &o.reward_timeout, "a sample that takes longer counts as not judged")
      .unit("seconds")
      .above(0);
  add_checkpoint_options(table, o.training);
  table
      .add(
          "log-tokens", &o.log_tokens,
          "samples of a step whose log-probabilities, entropies, masks and experts go into run.db: "
          "all, none or a number, evenly spread; ids and texts always do. temper replay needs all")
      .value_name("all|none|N");
}

void add_rollout_options(OptionsTable& table, GrpoOptions& o) {
  table.group("Rollout");
  table.add("prompts-per-step", &o.prompts_per_step, "prompts of a step").at_least(1);
  table.add("samples-per-prompt", &o.samples_per_prompt, "G: samples of each prompt").at_least(1);
  table.add("max-prompt-tokens", &o.max_prompt_tokens, "longer prompts are left out, and counted")
      .unit("tokens")
      .at_least(1);
  table.add("max-new-tokens", &o.max_new_tokens, "most tokens of a completion")
      .unit("tokens")
      .at_least(1);
  table.add("temperature", &o.temperature, "of the logits, in rollout and in the loss alike")
      .at_least(kLeastTemperature);
  table.add("top-p", &o.top_p, "nucleus sampling; 1: off").range(0, 1);
  table.add("top-k", &o.top_k, "sample among the k likeliest; 0: off").at_least(0);
  table.add("min-p", &o.min_p, "drop tokens below this part of the likeliest; 0: off").range(0, 1);
  table.add("keep-sampling-mask", &o.keep_sampling_mask,
            "ratios, KL and entropy are of the distribution that top-p, top-k and min-p left "
            "(DeepSeek-V3.2)");
  table.add("stop", &o.stop, "text that ends a completion; may be given several times");
  table.add("rollout-batch", &o.rollout_batch, "sequences decoded together").at_least(1);
  table.add("cache-memory", &o.cache_memory, "the rollout's cache grows up to this")
      .unit("MiB")
      .range(1, 1 << 30);
}

void add_batch_options(OptionsTable& table, GrpoOptions& o) {
  table.group("Batch");
  table.add("dynamic-sampling", &o.dynamic_sampling,
            "sample on until prompts-per-step groups have unequal rewards (DAPO)");
  table
      .add("oversample", &o.oversample,
           "prompts of one generation, times prompts-per-step; groups with a signal go first")
      .range(1, 100);
  table
      .add("max-generations", &o.max_generations,
           "of dynamic sampling in a step; then the step takes what there is")
      .at_least(1);
  table
      .add("staleness", &o.staleness,
           "1: a step's rollout is drawn before the update of the step before it")
      .range(0, 1);
  table.add("mini-batches", &o.mini_batches, "optimiser updates one rollout is cut into")
      .at_least(1);
  table.add("inner-epochs", &o.inner_epochs, "passes over one rollout").at_least(1);
  table.add("shuffle-mini-batches", &o.shuffle_mini_batches,
            "deal samples out at random instead of group by group");
}

void add_advantage_options(OptionsTable& table, GrpoOptions& o) {
  table.group("Advantage");
  table.add_choice("advantage", &o.advantage,
                   {{"group-std", AdvantageKind::group_std},
                    {"group-mean", AdvantageKind::group_mean},
                    {"batch-std", AdvantageKind::batch_std},
                    {"rloo", AdvantageKind::rloo},
                    {"reinforce-pp", AdvantageKind::reinforce_pp}},
                   "what a reward is compared with, and divided by");
  table.add("overlong-filter", &o.overlong_filter, "truncated completions carry no loss");
  table
      .add("overlong-buffer", &o.overlong_buffer,
           "last part of max-new-tokens in which the reward falls by up to overlong-weight; 0: off")
      .unit("tokens")
      .at_least(0);
  table.add("overlong-weight", &o.overlong_weight, "of the soft overlong punishment").at_least(0);
  table
      .add("process-reward", &o.process_reward,
           "rules that judge the completion up to the end of each step; advantages are then a "
           "token's, and --reward is only reported")
      .value_name("SPEC");
  table.add("step-separator", &o.step_separator, "text that ends a step");
}

void add_objective_options(OptionsTable& table, GrpoOptions& o) {
  table.group("Objective");
  table.add_choice("objective", &o.objective,
                   {{"clipped", PolicyObjective::clipped},
                    {"gspo", PolicyObjective::gspo},
                    {"cispo", PolicyObjective::cispo}},
                   "clip the token's ratio, the sequence's, or the weight of a plain gradient");
  table.add("clip-low", &o.clip_low, "the ratio's lower bound is 1 - this").at_least(0);
  table.add("clip-high", &o.clip_high, "the ratio's upper bound is 1 + this").at_least(0);
  table
      .add("dual-clip", &o.dual_clip,
           "c > 1: a negative advantage's loss is at most -c times it; 0: off")
      .at_least(0);
  table.add_choice("aggregation", &o.aggregation,
                   {{"sequence-mean", Aggregation::sequence_mean},
                    {"token-mean", Aggregation::token_mean},
                    {"constant", Aggregation::constant},
                    {"prompt-mean", Aggregation::prompt_mean}},
                   "how the tokens' losses become one number");
  table.add("loss-length", &o.loss_length, "what `constant` divides by; 0: max-new-tokens")
      .unit("tokens")
      .at_least(0);
  table.add("entropy-coef", &o.entropy_coef, "times the entropy, subtracted from the loss")
      .at_least(0);
}

void add_kl_options(OptionsTable& table, GrpoOptions& o) {
  table.group("KL to the reference");
  table.add("kl-coef", &o.kl_coef, "beta of the KL to the reference; 0: no reference is kept")
      .at_least(0);
  table.add_choice("kl-estimator", &o.kl_estimator,
                   {{"k1", KlEstimator::k1}, {"k2", KlEstimator::k2}, {"k3", KlEstimator::k3}},
                   "log ratio, half its square, or the one that is never negative");
  table.add_choice("kl-in", &o.kl_in, {{"loss", KlPlace::loss}, {"reward", KlPlace::reward}},
                   "a term of the loss, or subtracted from the reward");
  table.add("kl-unbiased", &o.kl_unbiased,
            "weigh the estimate by the ratio, so that its gradient is the KL's (DeepSeek-V3.2)");
  table
      .add("reference-every", &o.reference_every,
           "steps after which the policy becomes the reference; 0: never")
      .at_least(0);
  table.add("reset-optimizer", &o.reset_optimizer,
            "forget AdamW's moments with each new reference");
}

void add_correction_options(OptionsTable& table, GrpoOptions& o) {
  table.group("Off-policy correction");
  table.add_choice<std::string>("rollout-correction", &o.rollout_correction,
                                {{"auto", "auto"},
                                 {"none", "none"},
                                 {"token", "token"},
                                 {"sequence", "sequence"},
                                 {"token-mask", "token-mask"},
                                 {"sequence-mask", "sequence-mask"}},
                                "weights for rollout against trainer: cut at the cap, or 0 outside "
                                "floor and cap; auto: token with --staleness, else none");
  table.add("correction-cap", &o.correction_cap, "largest importance weight").above(0);
  table.add("correction-floor", &o.correction_floor, "smallest weight that a mask keeps")
      .at_least(0);
  table
      .add("off-policy-delta", &o.off_policy_delta,
           "leave out sequences of negative advantage that have become less likely by more than "
           "this a token; 0: off")
      .unit("nats")
      .at_least(0);
  table.add_choice(
      "replay-routing", &o.replay_routing,
      {{"auto", RoutingReplay::automatic}, {"on", RoutingReplay::on}, {"off", RoutingReplay::off}},
      "in training, tokens go to the experts that they met in the rollout (R3, "
      "DeepSeek-V3.2); auto: where the model has experts");
}

}  // namespace

OptionsTable grpo_options(GrpoOptions& o) {
  o.training.learning_rate = 1e-6;
  OptionsTable table;
  table.group("Preset");
  table.add_preset("preset", &o.preset, grpo_presets(),
                   "published values for every option that is not given; docs/objectives.md");
  add_input_options(table, o);
  add_rollout_options(table, o);
  add_batch_options(table, o);
  add_advantage_options(table, o);
  add_objective_options(table, o);
  add_kl_options(table, o);
  add_correction_options(table, o);
  add_resume_options(table, o.training);
  add_training_options(table, o.training);
  return table;
}

}  // namespace temper
