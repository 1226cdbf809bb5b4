// temper reward-model: a scalar head that says how good an answer is.
#include <memory>

#include "cli/training_run.h"
#include "core/device.h"
#include "data/chat_template.h"
#include "model/training/memory_plan.h"
#include "reward/preference/reward_model.h"
#include "reward/preference/trainer.h"

namespace temper {
namespace {

struct Examples {
  std::vector<PreferenceExample> train, heldout;
  std::string chat_template;  // its id
};

// The memory plan's unit is a row: its texts go through the model together.
int64_t longest_row(const Examples& examples) {
  int64_t longest = 1;
  for (const auto* part : {&examples.train, &examples.heldout})
    for (const PreferenceExample& e : *part) longest = std::max(longest, e.tokens());
  return longest;
}

Examples read_examples(const RewardModelOptions& o, const ModelInUse& model, Logger& log) {
  const Tokenizer& tokenizer = model.need_tokenizer();
  const ChatTemplate chat = ChatTemplate::choose(o.chat_template, tokenizer);
  const std::vector<PreferenceRow> rows = read_preferences({o.data.begin(), o.data.end()});
  const PreferenceSplit split =
      split_preferences(rows, o.holdout, static_cast<uint64_t>(o.training.seed));
  if (o.loss == PreferenceLoss::pairwise)
    for (const PreferenceRow& row : rows)
      if (!row.is_pair())
        throw UserError({.what = "a row with a label is no pair",
                         .where = "--loss pairwise",
                         .hint = "--loss binary trains on labels"});
  const int64_t most = std::min(o.max_tokens, model.config.max_position_embeddings);
  Examples out{.train = {}, .heldout = {}, .chat_template = chat.id()};
  for (size_t i : split.train) out.train.push_back(make_example(tokenizer, chat, rows[i], most));
  for (size_t i : split.held_out)
    out.heldout.push_back(make_example(tokenizer, chat, rows[i], most));
  log.info(std::to_string(rows.size()) + " rows, " + std::to_string(out.heldout.size()) +
           " of them held out; chat template " + chat.id());
  log.info("training " + length_report(out.train).text());
  if (!out.heldout.empty()) log.info("held-out " + length_report(out.heldout).text());
  return out;
}

void report(const RewardModelResult& result, const RewardModelOptions& o, Invocation& cli) {
  char line[160];
  std::snprintf(line, sizeof line, "reward-model: %lld steps, loss %.4f, %.0f tokens/s",
                static_cast<long long>(result.steps), result.loss, result.tokens_per_second);
  cli.log.info(line);
  if (!result.interrupted) cli.out << "train:           " << result.train.text() << "\n";
  if (result.before.answers > 0) {
    cli.out << "held-out before: " << result.before.text() << "\n";
    cli.out << "held-out after:  " << result.after.text() << "\n";
  }
  cli.log.info("model: " + o.out + "/model   use it: --reward \"rm(model=" + o.out + "/model)=1\"");
}

int run_reward_model(const RewardModelOptions& o, Invocation& cli) {
  Context ctx(static_cast<int>(cli.common.threads), device_of(cli.common.device));
  check_arithmetic(ctx.device, o.training.dtype);
  LoadedRewardModel loaded = load_reward_trunk(ctx, o.model, o.training.dtype);
  ModelInUse model = in_use(o.model, std::move(loaded.model), cli.log);
  cli.log.info(loaded.is_new ? "a new scalar head on a language model" : "a reward model goes on");
  const Examples examples = read_examples(o, model, cli.log);
  const MemoryPlan plan = plan_training(model.config, train_options_of(o.training),
                                        {.dtype = o.training.dtype,
                                         .device = ctx.device,
                                         .longest_sequence = longest_row(examples),
                                         .micro_batch_tokens = o.training.micro_batch_tokens});
  cli.log.info(plan.text());
  RunFolder folder(cli, {.kind = "reward-model", .out = o.out, .data = o.data});
  TrainingRun run(ctx, cli, folder, spec_of(o, plan.micro_batch_tokens, examples.chat_template),
                  model);
  const RewardModelJob job{ctx,
                           model.config,
                           model.weights,
                           o,
                           examples.train,
                           examples.heldout,
                           plan.micro_batch_tokens,
                           run.store(),
                           run.id(),
                           cli.log,
                           cli.interrupt,
                           [&](StepWriter& writer, const OptimizerState& optimizer,
                               const StageState& state) { run.save(writer, optimizer, state); }};
  const RewardModelResult result = run.watch([&] { return train_reward_model(job); });
  run.finish(result.interrupted);
  report(result, o, cli);
  return 0;
}

}  // namespace

void add_reward_model(Subcommands& list) {
  auto options = std::make_shared<RewardModelOptions>();
  list.add(
      {.name = "reward-model",
       .about = "train a scalar head that tells good answers from bad ones",
       .examples =
           "  temper reward-model --model DIR --data pairs.jsonl --out runs/rm\n"
           "  temper reward-model --model DIR --data labels.jsonl --loss binary --out runs/rm\n",
       .options = reward_model_options(*options),
       .run = [options](Invocation& cli) { return run_reward_model(*options, cli); }});
}

}  // namespace temper
