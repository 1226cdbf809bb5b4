// The options of `temper grpo`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/options.h"
#include "grpo/advantage.h"
#include "grpo/aggregation.h"
#include "grpo/loss.h"
#include "model/training/training_options.h"

namespace temper {

enum class KlPlace { loss, reward };
enum class RoutingReplay { automatic, on, off };

struct GrpoOptions {
  std::string preset = "none";    // of grpo/presets.h
  std::string model;              // the policy to start from, and the reference
  std::vector<std::string> data;  // prompts with gold answers
  std::string out;                // run directory
  std::string reward;             // "math=1,format=0.2"
  std::string chat_template;      // "": as tokenizer_config.json says
  std::string system, suffix;
  int64_t steps = 100;
  double reward_timeout = 120.0;   // seconds
  double max_unjudged = 0.05;      // share of samples that could not be judged before the run stops
  std::string log_tokens = "all";  // samples of a step that keep their token arrays: all, none, N

  // Rollout.
  int64_t prompts_per_step = 16;
  int64_t samples_per_prompt = 8;  // G
  int64_t max_prompt_tokens = 1024;
  int64_t max_new_tokens = 256;
  double temperature = 1.0, top_p = 1.0, min_p = 0.0;
  int64_t top_k = 0;
  bool keep_sampling_mask = false;  // the loss sees the distribution that top-p and top-k left
  std::vector<std::string> stop;
  int64_t rollout_batch = 64;   // sequences decoded together
  int64_t cache_memory = 4096;  // MiB, that their KV cache may have

  // Which samples an update gets.
  bool dynamic_sampling = false;  // DAPO: sample on until enough groups have a signal
  double oversample = 1.0;        // prompts of one generation, of prompts_per_step
  int64_t max_generations = 10;   // of dynamic sampling
  int64_t staleness = 0;          // steps by which the rollout runs ahead of the update
  int64_t mini_batches = 1;       // optimiser updates that one rollout is cut into
  int64_t inner_epochs = 1;       // passes over one rollout
  bool shuffle_mini_batches = false;

  // What is compared.
  AdvantageKind advantage = AdvantageKind::group_std;
  bool overlong_filter = false;  // truncated completions carry no loss
  int64_t overlong_buffer = 0;   // DAPO's soft punishment; 0: off
  double overlong_weight = 1.0;
  std::string process_reward;         // rules that judge every step of a completion; "": none
  std::string step_separator = "\n";  // behind each step

  // The objective.
  PolicyObjective objective = PolicyObjective::clipped;
  double clip_low = 0.2, clip_high = 0.2, dual_clip = 0.0;
  Aggregation aggregation = Aggregation::sequence_mean;
  int64_t loss_length = 0;  // of Aggregation::constant; 0: max_new_tokens
  double kl_coef = 0.001;
  KlEstimator kl_estimator = KlEstimator::k3;
  KlPlace kl_in = KlPlace::loss;
  bool kl_unbiased = false;
  int64_t reference_every = 0;  // steps until the policy becomes the reference; 0: never
  bool reset_optimizer = false;
  double entropy_coef = 0.0;
  std::string rollout_correction = "auto";  // or a CorrectionKind
  double correction_cap = 2.0, correction_floor = 0.5;
  double off_policy_delta = 0.0;
  RoutingReplay replay_routing = RoutingReplay::automatic;  // the rollout's experts in training
  TrainingOptions training;

  bool has_reference() const { return kl_coef > 0.0; }
  bool kl_in_loss() const { return kl_coef > 0.0 && kl_in == KlPlace::loss; }
  bool kl_in_reward() const { return kl_coef > 0.0 && kl_in == KlPlace::reward; }
};

// The table of `temper grpo`, bound to `options`.
OptionsTable grpo_options(GrpoOptions& options);

// Whether training sends tokens to the rollout's experts: `automatic` does where there are any.
bool replays_routing(const GrpoOptions& options, const ModelConfig& config);

// The loss that the options ask for. `auto` corrects by token where the rollout is stale.
GrpoLossParams loss_params(const GrpoOptions& options);

// How many samples of a step keep their token arrays in the database; -1: all. Throws UserError.
int64_t logged_samples(const GrpoOptions& options);

// Throws UserError for options that do nothing or harm together, with the mend; returns warnings
// for those that may be meant.
std::vector<std::string> check_grpo_options(const GrpoOptions& options);

}  // namespace temper
