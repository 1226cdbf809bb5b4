// The options of `temper grpo`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/options.h"
#include "model/training/training_options.h"

namespace temper {

struct GrpoOptions {
  std::string model;              // the policy to start from, and the reference
  std::vector<std::string> data;  // prompts with gold answers
  std::string out;                // run directory
  std::string reward;             // "math=1,format=0.2"
  std::string chat_template;      // "": as tokenizer_config.json says
  std::string system, suffix;
  int64_t steps = 100;
  int64_t prompts_per_step = 16;
  int64_t samples_per_prompt = 8;  // G
  int64_t mini_batches = 1;        // optimiser updates that one rollout is cut into
  int64_t inner_epochs = 1;        // passes over one rollout
  int64_t max_prompt_tokens = 1024;
  int64_t max_new_tokens = 256;
  double temperature = 1.0, top_p = 1.0, min_p = 0.0;
  int64_t top_k = 0;
  std::vector<std::string> stop;
  int64_t rollout_batch = 64;  // sequences decoded together
  double clip_low = 0.2, clip_high = 0.2;
  double kl_coef = 0.001;
  double reward_timeout = 120.0;  // seconds
  double max_unjudged = 0.05;     // share of samples that could not be judged before the run stops
  int64_t save_every = 0, keep = 2;
  std::string save_dtype = "f32";
  TrainingOptions training;
};

// The table of `temper grpo`, bound to `options`.
OptionsTable grpo_options(GrpoOptions& options);

}  // namespace temper
