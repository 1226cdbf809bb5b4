// temper sft: supervised fine-tuning.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <iterator>
#include <memory>
#include <numeric>

#include "cli/stages.h"
#include "cli/training_run.h"
#include "core/device.h"
#include "data/chat_template.h"
#include "data/dataset.h"
#include "data/mixture.h"
#include "model/training/memory_plan.h"
#include "sft/trainer.h"

namespace temper {

namespace {

// All files one after another, with the number of samples of each.
struct ReadFiles {
  std::vector<Sample> samples;
  std::vector<int64_t> ends;
};
ReadFiles read_files(const std::vector<WeightedFile>& files, const SftRowReader& reader,
                     const SftDataOptions& options, Logger& log) {
  ReadFiles all;
  for (const WeightedFile& file : files) {
    SftData data = read_sft_data({file.path}, reader, options);
    log.info((files.size() > 1 ? file.path + ": " : "") + data.counts.summary());
    if (const std::string warnings = data.counts.warnings(); !warnings.empty()) log.warn(warnings);
    std::move(data.samples.begin(), data.samples.end(), std::back_inserter(all.samples));
    all.ends.push_back(static_cast<int64_t>(all.samples.size()));
  }
  return all;
}

void report_shares(const SftSamples& samples, const SftOptions& o, Logger& log) {
  const Mixture mixture(samples.parts, static_cast<uint64_t>(o.training.seed));
  for (size_t f = 0; f < samples.files.size(); ++f)
    if (samples.parts[f].weight > 0.0)
      log.info("an epoch takes " + std::to_string(mixture.shares()[f]) + " of " +
               std::to_string(samples.parts[f].count) + " samples of " + samples.files[f]);
}

}  // namespace

SftSamples read_sft_samples(const SftOptions& o, const ModelInUse& model, Logger& log) {
  std::optional<ChatTemplate> chat;
  if (model.tokenizer) chat = ChatTemplate::choose(o.chat_template, *model.tokenizer);
  const SftRowReader reader(model.tokenizer ? &*model.tokenizer : nullptr, chat ? &*chat : nullptr,
                            model.config.vocab_size);
  SftDataOptions options;
  options.max_tokens = std::min(o.max_tokens, model.config.max_position_embeddings);
  options.vocab_size = model.config.vocab_size;
  const std::vector<WeightedFile> files = parse_weighted_files(o.data, "--data");
  ReadFiles all = read_files(files, reader, options, log);
  if (chat) log.info("chat template: " + chat->id());

  const size_t held = static_cast<size_t>(o.holdout * static_cast<double>(all.samples.size()));
  const HeldOutSplit split =
      split_held_out(all.samples.size(), held, static_cast<uint64_t>(o.training.seed));
  SftSamples out;
  if (chat) out.chat_template = chat->id();
  for (const WeightedFile& file : files) {
    out.files.push_back(file.path);
    out.parts.push_back({0, file.weight});
  }
  size_t file = 0;
  for (uint32_t i : split.train) {
    while (i >= all.ends[file]) ++file;
    ++out.parts[file].count;
    out.train.push_back(std::move(all.samples[i]));
  }
  for (size_t f = 0; f < files.size(); ++f)
    if (files[f].weight > 0.0 && out.parts[f].count == 0)
      throw UserError(
          {.what = "--holdout leaves no sample of the file to train on", .where = files[f].path});
  for (uint32_t i : split.held_out) out.heldout.push_back(std::move(all.samples[i]));
  report_shares(out, o, log);
  return out;
}

namespace {

// Tokens of the `count` longest samples together: no batch of as many has more.
int64_t most_tokens(const std::vector<Sample>& samples, int64_t count) {
  std::vector<int64_t> lengths;
  for (const Sample& sample : samples) lengths.push_back(static_cast<int64_t>(sample.ids.size()));
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  lengths.resize(std::min(lengths.size(), static_cast<size_t>(count)));
  return std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
}

void report(const SftResult& result, const SftOptions& o, Logger& log) {
  if (result.interrupted && result.steps == 0)
    return log.info("interrupted before its first step; --resume goes on with " + o.out);
  char line[160];
  std::snprintf(line, sizeof line, "sft: %lld steps, loss %.4f, %.0f tokens/s",
                static_cast<long long>(result.steps), result.loss, result.tokens_per_second);
  log.info(line);
  if (result.heldout_after > 0.0) {
    std::snprintf(line, sizeof line, "held-out loss %.4f -> %.4f", result.heldout_before,
                  result.heldout_after);
    log.info(line);
  }
  if (result.interrupted) log.info("interrupted; --resume goes on with " + o.out);
  log.info("model: " + o.out + "/model   look inside: temper inspect " + o.out);
}

}  // namespace

RunFolderSpec folder_spec(const SftOptions& o, const std::string& kind) {
  std::vector<std::string> files;
  for (const WeightedFile& file : parse_weighted_files(o.data, "--data"))
    files.push_back(file.path);
  return {.kind = kind,
          .out = o.out,
          .data = files,
          .resume = o.training.resume,
          .resume_from = o.training.resume_from};
}

int run_sft(const SftOptions& o, Invocation& cli) {
  RunFolder folder(cli, folder_spec(o, "sft"));
  if (folder.complete()) return already_done(cli, o.out);
  Context ctx(static_cast<int>(cli.common.threads), device_of(cli.common.device));
  ModelInUse model = load_model_in_use(ctx, folder.model(o.model), o.training.dtype, cli.log);
  if (folder.run() && folder.checkpoint() == nullptr) folder.check_model(o.model);
  const SftSamples samples = read_sft_samples(o, model, cli.log);
  const MemoryPlan plan =
      plan_training(model.config, train_options_of(o.training),
                    {.dtype = o.training.dtype,
                     .device = ctx.device,
                     .longest_sequence = most_tokens(samples.train, 1),
                     .micro_batch_tokens = micro_batch_tokens(o.training, folder),
                     .update_tokens = most_tokens(samples.train, o.batch_size)});
  cli.log.info(plan.text());

  TrainingRun run(ctx, cli, folder, spec_of(o, plan.micro_batch_tokens, samples.chat_template),
                  model);
  const SftJob job{ctx,
                   model.config,
                   model.weights,
                   o,
                   samples.train,
                   samples.heldout,
                   plan.micro_batch_tokens,
                   run.store(),
                   run.id(),
                   cli.log,
                   cli.interrupt,
                   [&](StepWriter& writer, const OptimizerState& optimizer,
                       const StageState& state) { run.save(writer, optimizer, state); },
                   folder.checkpoint(),
                   samples.parts,
                   samples.files};
  const SftResult result = run.watch([&] { return train_sft(job); });
  run.finish(result.interrupted);
  report(result, o, cli.log);
  return 0;
}

void add_sft(Subcommands& list) {
  auto options = std::make_shared<SftOptions>();
  list.add({.name = "sft",
            .about = "fine-tune a model on conversations, completions or token ids",
            .examples = "  temper sft --model DIR --data train.jsonl --out runs/sft\n",
            .options = sft_options(*options),
            .run = [options](Invocation& cli) { return run_sft(*options, cli); }});
}

}  // namespace temper
