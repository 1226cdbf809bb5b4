// The options of `temper sft`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/options.h"
#include "model/training/training_options.h"

namespace temper {

struct SftOptions {
  std::string model;              // checkpoint folder
  std::vector<std::string> data;  // JSONL files
  std::string out;                // run directory
  std::string chat_template;      // "" : as tokenizer_config.json says
  int64_t epochs = 1;
  int64_t max_steps = 0;      // 0: epochs decide
  int64_t batch_size = 16;    // samples a step
  int64_t max_tokens = 2048;  // longer samples are cut
  double holdout = 0.0;       // part of the samples kept for the held-out loss
  int64_t eval_every = 0;     // steps between held-out losses; 0: at each epoch's end
  TrainingOptions training;
};

// What `sft` and `distill` share: batches, checkpoints, optimiser.
void add_supervised_options(OptionsTable& table, SftOptions& options);

// The table of `temper sft`, bound to `options`.
OptionsTable sft_options(SftOptions& options);

}  // namespace temper
