// The options of `temper reward-model`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/options.h"
#include "model/training/training_options.h"

namespace temper {

enum class PreferenceLoss { pairwise, binary };

struct RewardModelOptions {
  std::string model;              // checkpoint folder
  std::vector<std::string> data;  // preference files
  std::string out;                // run directory
  std::string chat_template;      // "": as tokenizer_config.json says
  PreferenceLoss loss = PreferenceLoss::pairwise;
  int64_t epochs = 1;
  int64_t max_steps = 0;      // 0: epochs decide
  int64_t batch_size = 16;    // rows a step
  int64_t max_tokens = 2048;  // of a prompt with its answer
  double holdout = 0.1;       // part of the prompts kept for the held-out accuracy
  int64_t eval_every = 0;     // steps between held-out accuracies; 0: at start and end
  TrainingOptions training;
};

// The table of `temper reward-model`, bound to `options`.
OptionsTable reward_model_options(RewardModelOptions& options);

}  // namespace temper
