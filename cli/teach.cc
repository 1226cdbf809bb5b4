#include "cli/teach.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "cli/help.h"
#include "cli/prompted_model.h"
#include "cli/reward_rules.h"
#include "cli/run_row.h"
#include "cli/stored_options.h"
#include "core/device.h"
#include "core/error.h"
#include "core/file_lock.h"
#include "data/store_reader.h"
#include "distill/collect.h"
#include "distill/select.h"
#include "distill/traces.h"

namespace temper {
namespace {

constexpr const char* kKind = "rejection";  // of the run and of its steps

// What the teacher is asked.
struct Task {
  std::vector<std::string> files;
  std::span<const Prompt> prompts;
  std::string chat_template;  // the id of that which wrote them
};

// The run's rows in the database of its folder. A run that ends by an exception is recorded as
// failed, and can be resumed.
class TeachStore {
 public:
  TeachStore(const TeachRun& run, const Task& task, Invocation& cli)
      : lock_(lock_of(run)), store_(run.out) {
    const auto old = store_.database().value<int64_t>(
        "SELECT id FROM runs WHERE kind = ? ORDER BY id DESC LIMIT 1", kKind);
    if (old) {
      id_ = *old;
      // What is there and what comes must be of one kind.
      static_cast<void>(changed_options(cli.options, read_run(store_.database(), id_)->config));
      const auto last = last_step(store_.database(), id_, kKind);
      const std::string version = version_text();
      store_.resume_run({.run_id = id_,
                         .step = last ? last->key.step : 0,
                         .command_line = cli.command_line,
                         .code_version = version});
      return;
    }
    id_ = store_.begin_run(run_row(cli, {.kind = kKind,
                                         .model = run.options.teacher,
                                         .data = task.files,
                                         .seed = run.seed,
                                         .dtype = run.dtype,
                                         .chat_template = task.chat_template}));
  }
  ~TeachStore() {
    if (finished_) return;
    try {
      store_.finish_run(id_, RunStatus::failed);
    } catch (const std::exception&) {
      // The error that brought us here is the one to report.
    }
  }
  TeachStore(const TeachStore&) = delete;
  TeachStore& operator=(const TeachStore&) = delete;

  void finish(bool interrupted) {
    store_.finish_run(id_, interrupted ? RunStatus::interrupted : RunStatus::done);
    finished_ = true;
  }
  Store& store() { return store_; }
  StepKey key() const { return {id_, kKind, 0}; }

 private:
  static std::filesystem::path lock_of(const TeachRun& run) {
    if (std::filesystem::exists(run.out / kStoreFile) && !run.options.resume)
      throw UserError({.what = "the run directory is in use: it has " + std::string(kStoreFile),
                       .where = run.out.string(),
                       .expected = "a folder without a run",
                       .hint = "give another --out, or --resume to go on with this one"});
    std::filesystem::create_directories(run.out);
    return run.out / kLockFile;
  }

  FileLock lock_;
  Store store_;
  int64_t id_ = 0;
  bool finished_ = false;
};

PromptSourceOptions prompt_source(const TeachOptions& o, const std::string& model) {
  return {.model = model,
          .data = o.data,
          .system = o.system,
          .suffix = o.suffix,
          .chat_template = o.chat_template,
          .limit = o.limit,
          .max_prompt_tokens = o.max_prompt_tokens};
}

SamplingOptions sampling_options(const TeachRun& run) {
  const TeachOptions& o = run.options;
  check_stop_texts(o.stop);
  return {.params = o.sampling,
          .max_new_tokens = o.max_new_tokens,
          .seed = run.seed,
          .stop = o.stop,
          .batch = o.batch,
          .cache_memory = o.cache_memory,
          .dtype = run.dtype};
}

ServerOptions server_options(const TeachRun& run) {
  const TeachOptions& o = run.options;
  ServerOptions server{.url = o.teacher,
                       .model = o.server_model,
                       .max_new_tokens = o.max_new_tokens,
                       .temperature = o.sampling.temperature,
                       .top_p = o.sampling.top_p,
                       .seed = run.seed,
                       .connections = o.connections,
                       .retries = o.retries,
                       .timeout_seconds = o.timeout};
  if (o.api_key_env.empty()) return server;
  const char* key = std::getenv(o.api_key_env.c_str());
  if (key == nullptr)
    throw UserError(
        {.what = "the environment variable is not set", .where = "--api-key-env " + o.api_key_env});
  server.header = "Authorization: Bearer " + std::string(key);
  return server;
}

// Samples what is missing, then filters all; the counts go to stdout.
std::string collect_and_select(const TeachRun& run, const Task& task, Teacher& teacher,
                               const CompositeReward& reward, Invocation& cli) {
  const TeachOptions& o = run.options;
  TeachStore store(run, task, cli);
  const CollectJob job{.teacher = teacher,
                       .prompts = task.prompts,
                       .reward = reward,
                       .store = store.store(),
                       .run = store.key(),
                       .prompts_per_step = o.prompts_per_step,
                       .log = cli.log,
                       .interrupt = cli.interrupt};
  const CollectResult result =
      recording_failure(store.store(), store.key().run_id, [&] { return collect_samples(job); });
  if (result.interrupted) {
    cli.log.info("interrupted; with --resume the answers so far in " + run.out.string() + " stay");
    store.finish(true);
    return "";
  }
  const std::filesystem::path file = run.out / "samples.jsonl";
  const StepKey selected{store.key().run_id, "select", 1};
  if (has_step(store.store().database(), selected) && std::filesystem::exists(file)) {
    store.finish(false);
    return file.string();  // a resumed run that was complete
  }
  SelectOptions select = o.select;
  select.teacher_system = o.system;
  const FilterCounts counts = select_samples({.store = store.store(),
                                              .run = store.key(),
                                              .prompts = task.prompts,
                                              .prompts_per_step = o.prompts_per_step,
                                              .filters = o.filters,
                                              .options = select,
                                              .file = file});
  store.finish(false);
  cli.out << counts.text();
  cli.log.info("kept samples: " + file.string());
  return file.string();
}

// What the teacher and the models of the reward take together, said before either works.
void plan_memory(const TeachRun& run, const PromptedModel& model, const CompositeReward& reward,
                 Logger& log) {
  size_t longest = 0;
  for (const Prompt& prompt : model.data.prompts) longest = std::max(longest, prompt.ids.size());
  const int64_t tokens = static_cast<int64_t>(longest) + run.options.max_new_tokens;
  const std::vector<MemoryPlan::Item> judges = memory_of(reward, tokens);
  if (judges.empty()) return;
  const GenerationRequest request{.dtype = run.dtype,
                                  .sequences = run.options.batch,
                                  .tokens = tokens,
                                  .cache_limit = run.options.cache_memory << 20};
  log.info(plan_generation(model.model.config, request, model.ctx.device, judges).text());
}

std::string teach_by_checkpoint(const TeachRun& run, const CompositeReward& reward,
                                Invocation& cli) {
  const TeachOptions& o = run.options;
  const SamplingOptions sampling = sampling_options(run);
  PromptedModel model(prompt_source(o, o.teacher), sampling, cli);
  plan_memory(run, model, reward, cli.log);
  SampleOptions options = model.sample_options(sampling, o.samples);
  options.reward_timeout = o.reward_timeout;
  const std::unique_ptr<Teacher> teacher = local_teacher({.ctx = model.ctx,
                                                          .engine = model.engine,
                                                          .tokenizer = model.model.need_tokenizer(),
                                                          .prompts = {},
                                                          .reward = &reward,
                                                          .options = options,
                                                          .interrupt = &cli.interrupt});
  return collect_and_select(run, {o.data, model.data.prompts, model.chat.id()}, *teacher, reward,
                            cli);
}

std::string teach_by_text(const TeachRun& run, const CompositeReward& reward, Invocation& cli) {
  const TeachOptions& o = run.options;
  if (run.tokenizer_of.empty())
    throw UserError({.what = "recorded traces and servers need a tokenizer to count their tokens",
                     .where = "--teacher " + o.teacher,
                     .hint = "name a model folder: temper distill --student DIR"});
  const Tokenizer tokenizer(run.tokenizer_of);
  const ChatTemplate chat = ChatTemplate::choose(o.chat_template, tokenizer);
  const PromptOptions options{
      .system = o.system, .suffix = o.suffix, .max_tokens = o.max_prompt_tokens, .limit = o.limit};
  ThreadPool pool(static_cast<int>(cli.common.threads));
  const TextTeacherJob job{tokenizer, reward, pool, o.samples};
  if (o.source() == TeachOptions::Source::server) {
    const PromptData data =
        read_prompts({o.data.begin(), o.data.end()}, &tokenizer, &chat, options);
    const std::unique_ptr<Teacher> teacher = server_teacher(job, server_options(run));
    return collect_and_select(run, {o.data, data.prompts, chat.id()}, *teacher, reward, cli);
  }
  Traces traces = read_traces({o.teacher}, tokenizer, chat, options);
  const std::unique_ptr<Teacher> teacher = recorded_teacher(job, std::move(traces.answers));
  return collect_and_select(run, {{o.teacher}, traces.data.prompts, chat.id()}, *teacher, reward,
                            cli);
}

}  // namespace

std::string teach(const TeachRun& run, Invocation& cli) {
  RewardRules rules(cli, DType::f32, false);
  const CompositeReward reward = rules.reward(run.options.reward, "--reward");
  for (const std::string& warning : reward.time_warnings(run.options.reward_timeout)) {
    cli.log.warn(warning);
  }
  return run.options.source() == TeachOptions::Source::checkpoint
             ? teach_by_checkpoint(run, reward, cli)
             : teach_by_text(run, reward, cli);
}

}  // namespace temper
