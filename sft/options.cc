#include "sft/options.h"

namespace temper {

void add_supervised_options(OptionsTable& table, SftOptions& o) {
  table.group("Batches");
  table.add("epochs", &o.epochs, "passes over the data").at_least(1);
  table.add("max-steps", &o.max_steps, "stop after so many steps; 0: the epochs decide")
      .at_least(0);
  table.add("batch-size", &o.batch_size, "samples a step").at_least(1);
  table.add("max-tokens", &o.max_tokens, "longer samples are cut at the end")
      .unit("tokens")
      .at_least(2);
  table.add("holdout", &o.holdout, "part of the samples kept for the held-out loss").range(0, 0.5);
  table.add("eval-every", &o.eval_every, "steps between held-out losses; 0: each epoch's end")
      .at_least(0);
  add_training_options(table, o.training);

  table.group("Checkpoints");
  add_checkpoint_options(table, o.training);
}

OptionsTable sft_options(SftOptions& o) {
  OptionsTable table;
  table.group("Input and output");
  table.add("model", &o.model, "checkpoint folder to start from").value_name("DIR").required();
  table
      .add("data", &o.data,
           "JSONL of {\"messages\"}, {\"prompt\",\"completion\"} or {\"ids\"}; may be given "
           "several times, then with weights if wanted: FILE:0.7")
      .value_name("FILE")
      .required();
  table.add("out", &o.out, "run directory: run.db, checkpoints and the final model")
      .value_name("DIR")
      .required();
  table
      .add("template", &o.chat_template,
           "chat template, if the tokenizer does not name a known one")
      .value_name("NAME");
  add_supervised_options(table, o);
  add_resume_options(table, o.training);
  return table;
}

}  // namespace temper
