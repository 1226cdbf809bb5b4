#include "reward/preference/options.h"

namespace temper {

OptionsTable reward_model_options(RewardModelOptions& o) {
  OptionsTable table;
  table.group("Input and output");
  table.add("model", &o.model, "checkpoint folder to start from: a language or a reward model")
      .value_name("DIR")
      .required();
  table
      .add("data", &o.data,
           "rows of {\"prompt\",\"chosen\",\"rejected\"} or {\"prompt\",\"answer\",\"label\"}; may "
           "be "
           "given several times")
      .value_name("FILE")
      .required();
  table.add("out", &o.out, "run directory: run.db, checkpoints and the final model")
      .value_name("DIR")
      .required();
  table.add("template", &o.chat_template, "chat template; else the model's own").value_name("ID");
  add_checkpoint_options(table, o.training);

  table.group("Loss and batches");
  table.add_choice("loss", &o.loss,
                   {{"pairwise", PreferenceLoss::pairwise}, {"binary", PreferenceLoss::binary}},
                   "pairwise: Bradley-Terry on pairs; binary: each answer good or bad by itself");
  table.add("epochs", &o.epochs, "passes over the data").at_least(1);
  table.add("max-steps", &o.max_steps, "stop after so many steps; 0: the epochs decide")
      .at_least(0);
  table.add("batch-size", &o.batch_size, "rows a step").at_least(1);
  table
      .add(
          "max-tokens", &o.max_tokens,
          "of a prompt with its answer; the prompt is cut at its beginning, then the answer at its "
          "end")
      .unit("tokens")
      .at_least(8);
  table.add("holdout", &o.holdout, "part of the prompts kept for the held-out accuracy")
      .range(0, 0.5);
  table.add("eval-every", &o.eval_every, "steps between held-out accuracies; 0: at start and end")
      .at_least(0);
  add_training_options(table, o.training);
  return table;
}

}  // namespace temper
