// temper rejection: a checkpoint's own right answers as training data.
// temper distill: a teacher's, and the student that learns from them.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/prompted_model.h"
#include "cli/stages.h"
#include "cli/teach.h"
#include "cli/training_run.h"
#include "core/device.h"
#include "distill/tokenizers_agree.h"
#include "distill/trainer.h"
#include "model/layers/lm_head.h"
#include "model/training/memory_plan.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

struct RejectionCommand {
  TeachOptions teach;
  int64_t seed = 0;
  DType dtype = DType::f32;
};

int run_rejection(const RejectionCommand& o, Invocation& cli) {
  check_teach_options(o.teach);
  teach({.options = o.teach,
         .out = o.teach.out,
         .tokenizer_of = {},
         .seed = o.seed,
         .dtype = o.dtype},
        cli);
  return 0;
}

// Throws UserError if the logits of both models are of different tokens.
void check_logits_agree(const DistillOptions& o, const Tokenizer& teacher, const Tokenizer& student,
                        int64_t taught, int64_t learnt) {
  check_tokenizers_agree(teacher, student);
  if (taught == learnt) return;
  throw UserError({.what = "teacher and student have logits of different length",
                   .where = o.teach.teacher + " and " + o.student,
                   .expected = "one vocab_size, as the teacher's " + std::to_string(taught),
                   .found = std::to_string(learnt),
                   .hint = "distil by the teacher's texts instead: --loss sft"});
}

// The same of the folders, before the teacher works for hours.
void check_pair(const DistillOptions& o) {
  check_logits_agree(o, Tokenizer(o.teach.teacher), Tokenizer(o.student),
                     read_model_config(o.teach.teacher).vocab_size,
                     read_model_config(o.student).vocab_size);
}

// Both models, ready to be compared. Throws UserError if their logits are of different tokens.
struct Pair {
  ModelInUse student, teacher;
};
Pair load_pair(Context& ctx, const DistillOptions& o, const RunFolder& folder, Logger& log) {
  const DType dtype = o.train.training.dtype;
  Pair pair{load_model_in_use(ctx, folder.model(o.student), dtype, log),
            load_model_in_use(ctx, o.teach.teacher, dtype, log)};
  check_logits_agree(o, pair.teacher.need_tokenizer(), pair.student.need_tokenizer(),
                     pair.teacher.config.vocab_size, pair.student.config.vocab_size);
  return pair;
}

// What the student answers to in each step.
struct OnPolicy {
  PromptData data;
  RolloutEngine engine;
  SampleJob job;

  OnPolicy(Context& ctx, const DistillOptions& o, const ModelInUse& student,
           const ChatTemplate& chat, Invocation& cli)
      : data(read_prompt_data({.model = o.student,
                               .data = o.teach.data,
                               .system = o.teach.system,
                               .suffix = o.teach.suffix,
                               .chat_template = o.teach.chat_template,
                               .limit = o.teach.limit,
                               .max_prompt_tokens = o.teach.max_prompt_tokens,
                               .max_new_tokens = o.teach.max_new_tokens},
                              student, chat, cli.log)),
        engine(ctx, student.weights.view, student.config,
               {.max_samples = o.teach.batch, .cache_bytes = o.teach.cache_memory << 20}),
        job{.ctx = ctx,
            .engine = engine,
            .tokenizer = student.need_tokenizer(),
            .prompts = data.prompts,
            .options = {.samples = o.teach.samples,
                        .max_new_tokens = o.teach.max_new_tokens,
                        .sampling = o.teach.sampling,
                        .seed = static_cast<uint64_t>(o.train.training.seed),
                        .stop_ids = stop_ids_for(student, &chat),
                        .stop_strings = o.teach.stop},
            .interrupt = &cli.interrupt} {}
};

void report(const DistillResult& result, Logger& log) {
  char line[120];
  std::snprintf(line, sizeof line, "distill: %lld steps, KL to the teacher %.4f -> %.4f nats",
                static_cast<long long>(result.steps), result.kl_first, result.kl_last);
  log.info(line);
}

// What the student's training takes; the teacher's weights are in memory already. Own answers of at
// most `longest` tokens have a cache.
MemoryPlan plan_by_logits(Context& ctx, const ModelConfig& config, const DistillOptions& o,
                          const SftOptions& train, const RunFolder& folder, int64_t longest) {
  const DType dtype = train.training.dtype;
  const int64_t cached = o.teach.batch * longest * config.num_hidden_layers * config.cache_width() *
                         static_cast<int64_t>(size_of(dtype));
  const int64_t rows = head_chunk(ctx.device, config.vocab_size);
  const auto each = static_cast<int64_t>(size_of(stat_dtype(dtype)));
  return plan_training(
      config, train_options_of(train.training),
      {.dtype = dtype,
       .device = ctx.device,
       .longest_sequence = longest,
       .micro_batch_tokens = micro_batch_tokens(train.training, folder),
       .cache_bytes = o.on_policy ? std::min(cached, o.teach.cache_memory << 20) : 0,
       .others = {{"teacher, one chunk of logits", rows * config.vocab_size * each}}});
}

// Trains on distributions: over the file of samples, or on-policy if there is none.
int train_by_logits(const DistillOptions& o, const SftOptions& train, Invocation& cli) {
  RunFolder folder(cli, folder_spec(train, "distill"));
  if (folder.complete()) return already_done(cli, train.out);
  Context ctx(static_cast<int>(cli.common.threads), device_of(cli.common.device));
  Pair pair = load_pair(ctx, o, folder, cli.log);
  if (folder.run() && folder.checkpoint() == nullptr) folder.check_model(o.student);
  ModelInUse& student = pair.student;
  const ChatTemplate chat = ChatTemplate::choose(o.teach.chat_template, student.need_tokenizer());
  std::optional<OnPolicy> on_policy;
  SftSamples samples;
  int64_t longest = 1;
  if (o.on_policy) {
    on_policy.emplace(ctx, o, student, chat, cli);
    for (const Prompt& prompt : on_policy->data.prompts)
      longest = std::max(longest, static_cast<int64_t>(prompt.ids.size()));
    longest = std::min(longest + o.teach.max_new_tokens, student.config.max_position_embeddings);
  } else {
    samples = read_sft_samples(train, student, cli.log);
    for (const Sample& sample : samples.train)
      longest = std::max(longest, static_cast<int64_t>(sample.ids.size()));
  }
  const MemoryPlan plan = plan_by_logits(ctx, student.config, o, train, folder, longest);
  cli.log.info(plan.text());
  // `train.model` is the student.
  TrainingRun run(ctx, cli, folder, spec_of(train, plan.micro_batch_tokens, chat.id()), student);
  const DistillJob job{
      .ctx = ctx,
      .config = student.config,
      .weights = student.weights,
      .teacher_config = pair.teacher.config,
      .teacher = pair.teacher.weights.view,
      .direction = o.loss == DistillLoss::forward_kl ? KlDirection::forward : KlDirection::reverse,
      .temperature = o.kl_temperature,
      .options = train,
      .samples = samples.train,
      .on_policy = on_policy ? &on_policy->job : nullptr,
      .micro_batch_tokens = plan.micro_batch_tokens,
      .store = run.store(),
      .run_id = run.id(),
      .log = cli.log,
      .interrupt = cli.interrupt,
      .save = [&](StepWriter& writer, const OptimizerState& optimizer,
                  const StageState& state) { run.save(writer, optimizer, state); },
      .parts = samples.parts,
      .resume = folder.checkpoint()};
  const DistillResult result = run.watch([&] { return train_distill(job); });
  run.finish(result.interrupted);
  report(result, cli.log);
  return 0;
}

int run_distill(const DistillOptions& o, Invocation& cli) {
  check_distill_options(o);
  student_data(o, "");  // whatever is wrong with it is said before the teacher works
  SftOptions train = o.train;
  train.model = o.student;
  train.out = o.teach.out;
  train.chat_template = o.teach.chat_template;
  train.data = o.teach.data;
  if (!o.on_policy) {
    TeachOptions asked = o.teach;
    asked.resume = train.training.resume || train.training.resume_from > 0;
    if (o.loss != DistillLoss::sft && !asked.resume) check_pair(o);
    const std::string file = teach({.options = asked,
                                    .out = fs::path(o.teach.out) / "teacher",
                                    .tokenizer_of = o.student,
                                    .seed = train.training.seed,
                                    .dtype = train.training.dtype},
                                   cli);
    if (file.empty()) return 0;  // interrupted
    train.data = student_data(o, file);
  }
  if (o.loss == DistillLoss::sft) return run_sft(train, cli);
  return train_by_logits(o, train, cli);
}

}  // namespace

void add_rejection(Subcommands& list) {
  auto o = std::make_shared<RejectionCommand>();
  list.add({.name = "rejection",
            .about = "sample a checkpoint, keep the right and readable answers as training data",
            .examples = "  temper rejection --teacher runs/grpo/model --data train.jsonl \\\n"
                        "      --reward math=1,format=0.2 --samples 8 --out runs/rejection\n",
            .options = rejection_options(o->teach, o->seed, o->dtype),
            .run = [o](Invocation& cli) { return run_rejection(*o, cli); }});
}

void add_distill(Subcommands& list) {
  auto o = std::make_shared<DistillOptions>();
  list.add({.name = "distill",
            .about = "teach a student: a teacher's filtered answers, or its distributions",
            .examples = "  temper distill --teacher big --student small --data train.jsonl \\\n"
                        "      --reward math=1,format=0.2 --samples 8 --out runs/student\n"
                        "  temper distill --teacher http://localhost:8000/v1 --student small ...\n",
            .options = distill_options(*o),
            .run = [o](Invocation& cli) { return run_distill(*o, cli); }});
}

}  // namespace temper
