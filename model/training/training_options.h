// The options that every training stage has: optimiser, schedule, memory, precision, checkpoints.
#pragma once

#include "core/options.h"
#include "model/optim/schedule.h"
#include "model/training/train_step.h"

namespace temper {

struct TrainingOptions {
  double learning_rate = 1e-5;
  ScheduleKind schedule = ScheduleKind::constant;
  int64_t warmup_steps = 0;
  double final_lr_ratio = 0.1;
  double beta1 = 0.9, beta2 = 0.95, adam_eps = 1e-8;
  double weight_decay = 0.0;
  double max_grad_norm = 1.0;
  DType moments = DType::f32;  // or bf16
  double mtp_weight = 0.0;
  double balance_alpha = 0.0;
  double bias_update_speed = 0.0;
  int64_t micro_batch_tokens = 0;  // 0: by the memory plan
  bool recompute = false;
  DType dtype = DType::f32;  // or f64
  int64_t seed = 0;
  int64_t save_every = 0;          // steps between checkpoints; 0: at the end
  int64_t keep = 2;                // checkpoints kept besides the final model
  std::string save_dtype = "f32";  // f32 | bf16
  bool resume = false;             // go on with the run in --out
  int64_t resume_from = 0;         // from the checkpoint of this step; 0: the last

  // Whether `save_every` asks for a checkpoint behind this step, of which the first is 1.
  bool saves_behind(int64_t step) const { return save_every > 0 && step % save_every == 0; }
};

// Appends the options under the groups "Optimiser", "Mixture of experts" and "Memory".
void add_training_options(OptionsTable& table, TrainingOptions& options);

// Appends --save-every, --keep and --save-dtype.
void add_checkpoint_options(OptionsTable& table, TrainingOptions& options);

// Appends --resume and --resume-from under the group "Resume".
void add_resume_options(OptionsTable& table, TrainingOptions& options);

// The learning rate over a run of `total_steps` updates.
Schedule schedule_of(const TrainingOptions& options, int64_t total_steps);
// Temperature and entropy stay at their defaults for the stage to set.
TrainOptions train_options_of(const TrainingOptions& options);
// `--dtype f32|f64`, for every subcommand that computes.
void add_dtype_option(OptionsTable& table, DType* field);

}  // namespace temper
