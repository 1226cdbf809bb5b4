#include "model/training/training_options.h"

namespace temper {

void add_training_options(OptionsTable& table, TrainingOptions& o) {
  table.group("Optimiser");
  table.add("learning-rate", &o.learning_rate, "peak learning rate of AdamW").at_least(0);
  table.add_choice("schedule", &o.schedule,
                   {{"constant", ScheduleKind::constant},
                    {"cosine", ScheduleKind::cosine},
                    {"linear", ScheduleKind::linear}},
                   "learning rate after the warm-up");
  table.add("warmup-steps", &o.warmup_steps, "steps of linear warm-up").at_least(0);
  table.add("final-lr-ratio", &o.final_lr_ratio, "where cosine and linear end, of the peak")
      .range(0, 1);
  table.add("beta1", &o.beta1, "AdamW's decay of the first moment").range(0, 0.999999);
  table.add("beta2", &o.beta2, "AdamW's decay of the second moment").range(0, 0.999999);
  table.add("adam-eps", &o.adam_eps, "AdamW's epsilon").above(0);
  table.add("weight-decay", &o.weight_decay, "decoupled, on every parameter").at_least(0);
  table.add("max-grad-norm", &o.max_grad_norm, "clip the global gradient norm; 0: never")
      .at_least(0);
  table.add_choice("moments", &o.moments, {{"f32", DType::f32}, {"bf16", DType::bf16}},
                   "precision of AdamW's moments (bf16: half the memory)");
  table.add("seed", &o.seed, "seeds data order and sampling");

  table.group("Mixture of experts and MTP");
  table.add("mtp-weight", &o.mtp_weight, "lambda of the multi-token-prediction loss; 0: not run")
      .at_least(0);
  table.add("balance-alpha", &o.balance_alpha, "of the sequence-wise balance loss").at_least(0);
  table
      .add("bias-update-speed", &o.bias_update_speed,
           "gamma of the router biases (auxiliary-loss-free balancing); 0: frozen")
      .at_least(0);

  table.group("Memory and precision");
  table
      .add("micro-batch-tokens", &o.micro_batch_tokens,
           "most tokens alive at once; 0: chosen by the memory plan")
      .unit("tokens")
      .at_least(0);
  table.add("recompute", &o.recompute, "keep only each block's input and run it again in backward");
  add_dtype_option(table, &o.dtype);
}

void add_dtype_option(OptionsTable& table, DType* field) {
  table.add_choice(
      "dtype", field,
      {{"f32", DType::f32}, {"f64", DType::f64}, {"bf16", DType::bf16}, {"f16", DType::f16}},
      "arithmetic; f64 on the CPU alone, bf16 (the default there) and f16 on the GPU alone");
}

void add_checkpoint_options(OptionsTable& table, TrainingOptions& o) {
  table.add("save-every", &o.save_every, "steps between checkpoints; 0: only at the end")
      .at_least(0);
  table.add("keep", &o.keep, "checkpoints kept besides the final model").at_least(1);
  table.add_choice<std::string>("save-dtype", &o.save_dtype, {{"f32", "f32"}, {"bf16", "bf16"}},
                                "what the saved weights are rounded to");
}

void add_resume_options(OptionsTable& table, TrainingOptions& o) {
  table.group("Resume");
  table.add("resume", &o.resume,
            "go on with the run in --out from its last checkpoint, by its own options; where there "
            "is no run, begin it");
  table
      .add("resume-from", &o.resume_from,
           "the same from an earlier checkpoint, named by its step; 0: the last")
      .at_least(0);
}

Schedule schedule_of(const TrainingOptions& o, int64_t total_steps) {
  Schedule s;
  s.kind = o.schedule;
  s.peak = o.learning_rate;
  s.warmup_steps = o.warmup_steps;
  s.total_steps = total_steps;
  s.final_ratio = o.final_lr_ratio;
  return s;
}

TrainOptions train_options_of(const TrainingOptions& o) {
  TrainOptions t;
  t.optimizer.beta1 = o.beta1;
  t.optimizer.beta2 = o.beta2;
  t.optimizer.eps = o.adam_eps;
  t.optimizer.weight_decay = o.weight_decay;
  t.optimizer.max_grad_norm = o.max_grad_norm;
  t.optimizer.bf16_moments = o.moments == DType::bf16;
  t.recompute = o.recompute;
  t.mtp_weight = o.mtp_weight;
  t.balance_alpha = o.balance_alpha;
  t.bias_update_speed = o.bias_update_speed;
  return t;
}

}  // namespace temper
