#include "grpo/options.h"

namespace temper {
namespace {

void add_rollout_options(OptionsTable& table, GrpoOptions& o) {
  table.group("Rollout");
  table.add("prompts-per-step", &o.prompts_per_step, "prompts of a step").at_least(1);
  table.add("samples-per-prompt", &o.samples_per_prompt, "G: samples of each prompt").at_least(2);
  table.add("max-prompt-tokens", &o.max_prompt_tokens, "longer prompts are left out, and counted")
      .unit("tokens")
      .at_least(1);
  table.add("max-new-tokens", &o.max_new_tokens, "most tokens of a completion")
      .unit("tokens")
      .at_least(1);
  table.add("temperature", &o.temperature, "of the logits, in rollout and in the loss alike")
      .above(0);
  table.add("top-p", &o.top_p, "nucleus sampling; 1: off").range(0, 1);
  table.add("top-k", &o.top_k, "sample among the k likeliest; 0: off").at_least(0);
  table.add("min-p", &o.min_p, "drop tokens below this part of the likeliest; 0: off").range(0, 1);
  table.add("stop", &o.stop, "text that ends a completion; may be given several times");
  table.add("rollout-batch", &o.rollout_batch, "sequences decoded together").at_least(1);
}

void add_objective_options(OptionsTable& table, GrpoOptions& o) {
  table.group("Objective");
  table.add("clip-low", &o.clip_low, "the ratio's lower bound is 1 - this").at_least(0);
  table.add("clip-high", &o.clip_high, "the ratio's upper bound is 1 + this").at_least(0);
  table.add("kl-coef", &o.kl_coef, "beta of the k3 KL to the starting model; 0: no reference kept")
      .at_least(0);
  table.add("mini-batches", &o.mini_batches, "optimiser updates one rollout is cut into")
      .at_least(1);
  table.add("inner-epochs", &o.inner_epochs, "passes over one rollout").at_least(1);
}

}  // namespace

OptionsTable grpo_options(GrpoOptions& o) {
  o.training.learning_rate = 1e-6;
  OptionsTable table;
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
  table.add("suffix", &o.suffix, "put behind the last user text: how to write the answer");
  table.add("steps", &o.steps, "rollouts").at_least(1);
  table
      .add("max-unjudged", &o.max_unjudged,
           "stop when more than this part of a step's samples could not be judged")
      .range(0, 1);
  table.add("reward-timeout", &o.reward_timeout, "a sample that takes longer counts as not judged")
      .unit("seconds")
      .above(0);
  table.add("save-every", &o.save_every, "steps between checkpoints; 0: only at the end")
      .at_least(0);
  table.add("keep", &o.keep, "checkpoints kept besides the final model").at_least(1);
  table.add_choice<std::string>("save-dtype", &o.save_dtype, {{"f32", "f32"}, {"bf16", "bf16"}},
                                "what the saved weights are rounded to");
  add_rollout_options(table, o);
  add_objective_options(table, o);
  add_training_options(table, o.training);
  return table;
}

}  // namespace temper
