// temper eval: how good a model is on a task.
#include <filesystem>
#include <memory>

#include "cli/benchmarks.h"
#include "cli/prompted_model.h"
#include "cli/reward_rules.h"
#include "core/progress.h"
#include "rollout/evaluate.h"
#include "rollout/record.h"

namespace temper {
namespace {

struct EvalCommand {
  PromptSourceOptions source;
  std::string benchmark = "none", data_dir, reward, task, out;
  int64_t samples = 1;
  SamplingOptions sampling = {.params = {.temperature = 0.6, .top_p = 0.95}};
};

OptionsTable eval_options(EvalCommand& o) {
  OptionsTable table;
  table.group("Benchmark");
  table.add_preset("benchmark", &o.benchmark, eval_benchmarks(),
                   "a public benchmark's data, reward and sampling, for what is not given");
  table.add("data-dir", &o.data_dir, "put before --data: where the benchmarks' folders lie")
      .value_name("DIR");
  add_prompt_options(table, o.source);
  table.group("Judgement");
  table
      .add("reward", &o.reward, "what is right: math, or countdown=1,format=0.2 (the first counts)")
      .value_name("SPEC")
      .required();
  table.add("samples", &o.samples, "k, for each prompt").at_least(1);
  table.group("Output");
  table.add("out", &o.out, "run directory: keep samples and verdicts").value_name("DIR");
  table.add("task", &o.task, "name of the results; else the data file's").value_name("NAME");
  add_sampling_options(table, o.sampling);
  return table;
}

// The options with the data's full paths. Throws UserError for a benchmark that is still packed.
EvalCommand with_paths(EvalCommand o) {
  if (o.data_dir.empty()) return o;
  for (std::string& file : o.source.data) {
    const std::filesystem::path path = std::filesystem::path(o.data_dir) / file;
    file = path.string();
    if (!std::filesystem::exists(path) && std::filesystem::exists(file + ".gz"))
      throw UserError({.what = "the data file is compressed",
                       .where = file + ".gz",
                       .hint = "unpack it: gunzip --keep " + file + ".gz"});
  }
  return o;
}

// Says why samples could not be judged. Throws UserError if none could: there is no result then.
void report_unjudged(const std::string& task, const CompositeReward& reward,
                     const EvalReport& report, Logger& log) {
  const EvalSummary& s = report.summary;
  if (s.unjudged == 0) return;
  const std::string reasons = unjudged_reasons(reward, report.samples.groups);
  if (s.samples == 0)
    throw UserError({.what = "no sample could be judged, so there is no result",
                     .where = task,
                     .found = "\n" + reasons,
                     .hint = "mend the rows or --reward; `temper reward audit` tries a rule on "
                             "all rows"});
  log.warn(std::to_string(s.unjudged) + " samples could not be judged:\n" + reasons);
}

int run_eval(const EvalCommand& given, Invocation& cli) {
  const EvalCommand o = with_paths(given);
  RewardRules rules(cli, o.sampling.dtype, true);
  const CompositeReward reward = rules.reward(o.reward, "--reward");
  PromptedModel model(o.source, o.sampling, cli);
  if (o.samples > 1 && o.sampling.params.temperature == 0.0)
    cli.log.warn("at --temperature 0 the " + std::to_string(o.samples) +
                 " samples of a problem are all the same: give a temperature, or --samples 1");
  rules.use_context(model.ctx);
  rules.use_policy(model.model, model.chat);
  std::optional<SamplingRun> run;
  if (!o.out.empty()) run.emplace(o.out, "eval", model, o.source, o.sampling, cli);
  const std::string task =
      o.task.empty() ? std::filesystem::path(o.source.data[0]).stem().string() : o.task;
  SampleJob job{.ctx = model.ctx,
                .engine = model.engine,
                .tokenizer = model.model.need_tokenizer(),
                .prompts = model.data.prompts,
                .reward = &reward,
                .options = model.sample_options(o.sampling, o.samples),
                .interrupt = &cli.interrupt};
  const auto total = static_cast<int64_t>(job.prompts.size()) * o.samples;
  Progress progress(cli.log, {.label = "eval " + task, .total = total, .unit = "sample"});
  job.on_step = [&](const RolloutStats& stats) {
    progress.update(stats.finished, {}, stats.generated_tokens);
  };
  const auto judged = [&] { return evaluate(job); };
  const EvalReport report = run ? run->watch(judged) : judged();
  progress.finish();
  cli.out << eval_table(task, job.options, report) << std::flush;  // also where it cannot be stored
  if (run) {
    record_reward_messages(run->store(), run->step(0), reward);
    StepWriter writer(run->store(), run->step(0), 0);
    record_samples(writer, job, report.samples.groups);
    // What was finished first is no fair part of an evaluation: its samples stay, no result does.
    const bool whole = !cli.interrupt.requested();
    if (whole) record_eval(writer, job, task, report);
    if (!whole) cli.log.warn("interrupted: the samples are kept, and no result is recorded");
    writer.commit({.wall_seconds = report.stats.seconds,
                   .trained_tokens = {},
                   .generated_tokens = report.stats.generated_tokens});
    run->finish(!whole);
  }
  report_unjudged(task, reward, report, cli.log);
  return 0;
}

}  // namespace

void add_eval(Subcommands& list) {
  auto o = std::make_shared<EvalCommand>();
  list.add({.name = "eval",
            .about = "accuracy on a task: pass@1, pass@k and maj@k with their standard errors",
            .examples = "  temper eval --model DIR --data gsm8k/test.jsonl --reward math\n"
                        "  temper eval --model DIR --benchmark math-500 --data-dir benchmarks\n"
                        "  temper eval --model DIR --data countdown.jsonl \\\n"
                        "      --reward countdown=1,format=0.2 --samples 4 --out runs/eval\n"
                        "  temper eval compare runs/eval-before runs/eval-after\n",
            .options = eval_options(*o),
            .run = [o](Invocation& cli) { return run_eval(*o, cli); }});
  add_eval_compare(list);
}

}  // namespace temper
