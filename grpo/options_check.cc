// What the options mean together.
#include <algorithm>

#include "core/error.h"
#include "grpo/options.h"
#include "rollout/sampling_params.h"

namespace temper {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& where,
                         const std::string& hint) {
  throw UserError({.what = what, .where = where, .hint = hint});
}

std::string text(double value) {
  return option_text(value);
}

CorrectionKind correction_kind(const GrpoOptions& o) {
  const std::string& name = o.rollout_correction;
  if (name == "auto") return o.staleness > 0 ? CorrectionKind::token : CorrectionKind::none;
  if (name == "token") return CorrectionKind::token;
  if (name == "sequence") return CorrectionKind::sequence;
  if (name == "token-mask") return CorrectionKind::token_mask;
  if (name == "sequence-mask") return CorrectionKind::sequence_mask;
  require(name == "none", "a correction that the table does not know");
  return CorrectionKind::none;
}

void check_objective(const GrpoOptions& o) {
  if (o.samples_per_prompt == 1)
    refuse("a group of one sample has nothing to compare with: every advantage would be 0",
           "--samples-per-prompt 1", "sample 2 or more of each prompt; 8 to 16 are usual");
  if (o.objective == PolicyObjective::gspo && o.clip_low == 0.2 && o.clip_high == 0.2)
    refuse("a sequence's ratio never comes near 1 - 0.2 or 1 + 0.2, so nothing is clipped",
           "--objective gspo",
           "give its own bounds, such as --clip-low 3e-4 --clip-high 4e-4, or --preset gspo");
  if (o.dual_clip > 0.0 && o.objective != PolicyObjective::clipped)
    refuse("dual clip belongs to the token's ratio", "--dual-clip " + text(o.dual_clip),
           "leave it out, or take --objective clipped");
  if (o.dual_clip > 0.0 && o.dual_clip <= 1.0)
    refuse("dual clip at 1 or below would cut every token of a negative advantage",
           "--dual-clip " + text(o.dual_clip), "3 is usual; 0 turns it off");
  if (o.loss_length > 0 && o.aggregation != Aggregation::constant)
    refuse("only the aggregation `constant` divides by a length",
           "--loss-length " + option_text(o.loss_length),
           "add --aggregation constant, or leave it out");
  const int64_t samples = o.prompts_per_step * o.samples_per_prompt;
  if (o.mini_batches > samples)
    refuse("there are more mini-batches than samples",
           "--mini-batches " + option_text(o.mini_batches),
           "a step has " + option_text(samples) + " samples: give at most that, or sample more");
}

void check_kl(const GrpoOptions& o) {
  if (!o.has_reference() && o.reference_every > 0)
    refuse("without a KL term there is no reference to refresh",
           "--reference-every " + option_text(o.reference_every),
           "give --kl-coef, such as 0.001, or leave it out");
  if (o.reset_optimizer && o.reference_every == 0)
    refuse("the optimiser is reset when the reference is refreshed, which it never is",
           "--reset-optimizer", "add --reference-every N");
  if (o.kl_unbiased && !o.kl_in_loss())
    refuse("the unbiased form is a term of the loss", "--kl-unbiased",
           o.kl_in_reward() ? "take --kl-in loss" : "give --kl-coef, such as 0.001");
}

void check_correction(const GrpoOptions& o) {
  const CorrectionKind kind = correction_kind(o);
  const bool mask = kind == CorrectionKind::token_mask || kind == CorrectionKind::sequence_mask;
  if (kind != CorrectionKind::none && o.correction_cap < 1.0)
    refuse("a cap below 1 also cuts the weight of samples without any mismatch",
           "--correction-cap " + text(o.correction_cap), "2 is usual");
  if (mask && o.correction_floor >= 1.0)
    refuse("a floor of 1 or above masks samples without any mismatch",
           "--correction-floor " + text(o.correction_floor), "0.5 is usual");
}

void check_process(const GrpoOptions& o) {
  if (o.process_reward.empty()) return;
  const std::string where = "--process-reward " + o.process_reward;
  if (o.step_separator.empty())
    refuse("an empty separator ends no step", where, "give --step-separator, such as a newline");
  if (o.objective == PolicyObjective::gspo)
    refuse("a sequence's ratio cannot follow advantages that change from token to token", where,
           "take --objective clipped or cispo");
  if (o.advantage != AdvantageKind::group_std)
    refuse("step rewards are normalised by the group's mean and standard deviation", where,
           "leave --advantage out");
  if (o.kl_in_reward() || o.overlong_buffer > 0)
    refuse("a KL or a punishment in the reward has no step to go to", where,
           "take --kl-in loss and leave --overlong-buffer out");
}

bool is_cut(const GrpoOptions& o) {
  return o.top_p < 1.0 || o.top_k > 0 || o.min_p > 0.0;
}

void check_batch(const GrpoOptions& o) {
  check_stop_texts(o.stop);
  if (o.keep_sampling_mask && !is_cut(o))
    refuse("samples come from the whole distribution: there is no mask to keep",
           "--keep-sampling-mask", "give --top-p, --top-k or --min-p, or leave it out");
  if (o.overlong_buffer >= o.max_new_tokens && o.overlong_buffer > 0)
    refuse("the soft punishment would cover every completion",
           "--overlong-buffer " + option_text(o.overlong_buffer),
           "it must be below --max-new-tokens " + option_text(o.max_new_tokens) +
               ": a fifth of it is usual (" +
               option_text(std::max<int64_t>(1, o.max_new_tokens / 5)) + "), 0 turns it off");
}

}  // namespace

GrpoLossParams loss_params(const GrpoOptions& o) {
  GrpoLossParams p;
  p.objective = o.objective;
  p.clip = {o.clip_low, o.clip_high, o.dual_clip};
  p.kl_coef = o.kl_in_loss() ? o.kl_coef : 0.0;
  p.kl = o.kl_estimator;
  p.kl_unbiased = o.kl_unbiased;
  p.entropy_coef = o.entropy_coef;
  p.correction = {correction_kind(o), o.correction_cap, o.correction_floor};
  p.off_policy_delta = o.off_policy_delta;
  return p;
}

bool replays_routing(const GrpoOptions& o, const ModelConfig& config) {
  if (o.replay_routing == RoutingReplay::automatic) return config.n_routed_experts > 0;
  return o.replay_routing == RoutingReplay::on;
}

int64_t logged_samples(const GrpoOptions& o) {
  if (o.log_tokens == "all") return -1;
  if (o.log_tokens == "none") return 0;
  const bool digits = !o.log_tokens.empty() && o.log_tokens.size() < 10 &&
                      o.log_tokens.find_first_not_of("0123456789") == std::string::npos;
  if (digits) return option_integer(o.log_tokens);
  throw UserError({.what = "how many samples of a step keep their token arrays?",
                   .where = "--log-tokens",
                   .expected = "all, none or a number of samples",
                   .found = o.log_tokens});
}

std::vector<std::string> check_grpo_options(const GrpoOptions& o) {
  logged_samples(o);
  check_objective(o);
  check_kl(o);
  check_correction(o);
  check_process(o);
  check_batch(o);
  std::vector<std::string> warnings;
  if (o.kl_in_loss() && o.kl_estimator == KlEstimator::k1 && !o.kl_unbiased)
    warnings.push_back(
        "the gradient of k1 in the loss has mean 0: it holds nothing back; take --kl-estimator k2 "
        "or k3, --kl-unbiased, or --kl-in reward");
  if (o.overlong_filter && o.overlong_buffer > 0)
    warnings.push_back(
        "--overlong-filter takes the punished completions out of the loss: the soft punishment "
        "only moves the other samples' advantages");
  if (is_cut(o) && !o.keep_sampling_mask)
    warnings.push_back(
        "samples come from a cut distribution (--top-p, --top-k, --min-p), while ratios and KL are "
        "of the whole one: give --keep-sampling-mask");
  if (o.staleness > 0 && correction_kind(o) == CorrectionKind::none)
    warnings.push_back("stale samples are used as if they were fresh: --rollout-correction none");
  if (o.objective != PolicyObjective::clipped && o.mini_batches * o.inner_epochs == 1 &&
      o.staleness == 0)
    warnings.push_back(
        "with one update a rollout every ratio is 1, and all objectives are the same: give "
        "--mini-batches or --inner-epochs");
  if (o.training.save_every == 0 && o.mini_batches * o.inner_epochs > 1)
    warnings.push_back(
        "no model is saved on the way (--save-every 0): an update that fails behind the first of a "
        "step's " +
        std::to_string(o.mini_batches * o.inner_epochs) + " leaves none to go on from");
  return warnings;
}

}  // namespace temper
