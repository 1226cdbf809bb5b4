// temper grpo: group relative policy optimisation.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>

#include "cli/prompted_model.h"
#include "cli/reward_rules.h"
#include "cli/training_run.h"
#include "core/device.h"
#include "grpo/trainer.h"
#include "model/checkpoint/transfer.h"
#include "model/training/memory_plan.h"

namespace temper {
namespace {

// The longest prompt with the longest completion, in a context. Units: tokens.
int64_t longest_sample(const std::vector<Prompt>& prompts, const GrpoOptions& o, int64_t context) {
  size_t longest = 0;
  for (const Prompt& prompt : prompts) longest = std::max(longest, prompt.ids.size());
  return std::min(static_cast<int64_t>(longest) + o.max_new_tokens, context);
}

// What one update has at most, if each of its samples is of `length`. Units: tokens.
int64_t update_tokens(const GrpoOptions& o, int64_t length) {
  const int64_t samples = o.prompts_per_step * o.samples_per_prompt;
  return (samples + o.mini_batches - 1) / o.mini_batches * length;
}

// The cache that all samples that may run together need, each of `length` tokens.
int64_t whole_cache(const GrpoOptions& o, const ModelConfig& config, int64_t length) {
  const auto prompts =
      static_cast<int64_t>(std::ceil(static_cast<double>(o.prompts_per_step) * o.oversample));
  const int64_t together = std::min(o.rollout_batch, prompts * o.samples_per_prompt);
  return together * length * config.num_hidden_layers * config.cache_width() *
         static_cast<int64_t>(size_of(o.training.dtype));
}

int64_t cache_limit(const GrpoOptions& o) {
  return o.cache_memory << 20;
}

void warn_of_waiting(const GrpoOptions& o, const ModelConfig& config, int64_t longest,
                     Logger& log) {
  const int64_t whole = whole_cache(o, config, longest);
  if (whole <= cache_limit(o)) return;
  log.warn("the rollout's cache may be too small for all samples at once: " +
           std::to_string(whole >> 20) + " MiB for samples of " + std::to_string(longest) +
           " tokens, --cache-memory " + std::to_string(o.cache_memory) +
           " MiB; those that do not fit wait until others end");
}

// The plan for samples of at most `longest` tokens.
MemoryPlan plan_of(const GrpoOptions& o, const ModelConfig& config, Device device, int64_t longest,
                   const RunFolder& folder, const std::vector<MemoryPlan::Item>& others) {
  return plan_training(config, train_options_of(o.training),
                       {.dtype = o.training.dtype,
                        .device = device,
                        .longest_sequence = longest,
                        .micro_batch_tokens = micro_batch_tokens(o.training, folder),
                        .update_tokens = update_tokens(o, longest),
                        .cache_bytes = std::min(whole_cache(o, config, longest), cache_limit(o)),
                        .reference = o.has_reference(),
                        .others = others});
}

// The weights that the run began with: the first reference.
OwnedWeights first_weights(Context& ctx, const GrpoOptions& o, const ModelInUse& model,
                           const RunFolder& folder) {
  if (folder.run()) folder.check_model(o.model);
  if (folder.checkpoint() == nullptr) return copy_weights(ctx, model.weights, model.config);
  LoadedModel first = load_model(ctx, o.model, o.training.dtype);
  return std::move(first.weights);
}

void report(const GrpoResult& r, const GrpoOptions& o, Logger& log) {
  if (r.interrupted && r.steps == 0)
    return log.info("interrupted before its first step; --resume goes on with " + o.out);
  char line[240];
  std::snprintf(line, sizeof line,
                "grpo: %lld steps, reward %.3f -> %.3f, rollout %.0f tokens/s, training %.0f "
                "tokens/s",
                static_cast<long long>(r.steps), r.reward_first, r.reward_last,
                r.rollout_tokens_per_second, r.train_tokens_per_second);
  log.info(line);
  std::snprintf(line, sizeof line,
                "rollout and trainer log-probabilities differ by at most %.2e nats; %lld groups "
                "without signal, %lld not judged",
                r.max_mismatch, static_cast<long long>(r.zero_signal_groups),
                static_cast<long long>(r.unjudged_groups));
  log.info(line);
  std::snprintf(line, sizeof line,
                "a step took %.3g s: rollout %.3g, update %.3g, database %.2g (%.1f %%)",
                r.seconds.whole, r.seconds.rollout, r.seconds.update, r.seconds.database,
                100.0 * r.seconds.database / std::max(1e-9, r.seconds.whole));
  log.info(line);
  if (r.interrupted) log.info("interrupted; --resume goes on with " + o.out);
  log.info("model: " + o.out + "/model   look inside: temper inspect " + o.out);
}

RunFolderSpec folder_spec(const GrpoOptions& o) {
  return {.kind = "grpo",
          .out = o.out,
          .data = o.data,
          .resume = o.training.resume,
          .resume_from = o.training.resume_from};
}

void check_replay(const GrpoOptions& o, const ModelConfig& config) {
  if (o.replay_routing == RoutingReplay::on && config.n_routed_experts == 0)
    throw UserError({.what = "the model has no experts whose routing could be replayed",
                     .where = "--replay-routing on",
                     .hint = "leave it out, or take auto, which is on where there are experts"});
}

int run_grpo(const GrpoOptions& o, Invocation& cli) {
  for (const std::string& warning : check_grpo_options(o)) cli.log.warn(warning);
  RewardRules rules(cli, o.training.dtype, true);
  const CompositeReward reward = rules.reward(o.reward, "--reward");
  std::optional<CompositeReward> process_reward;
  if (!o.process_reward.empty())
    process_reward.emplace(rules.reward(o.process_reward, "--process-reward"));
  for (const std::string& warning : reward.time_warnings(o.reward_timeout)) cli.log.warn(warning);
  RunFolder folder(cli, folder_spec(o));
  if (folder.complete()) return already_done(cli, o.out);
  Context ctx(static_cast<int>(cli.common.threads), device_of(cli.common.device));
  ModelInUse model = load_model_in_use(ctx, folder.model(o.model), o.training.dtype, cli.log);
  const ChatTemplate chat = ChatTemplate::choose(o.chat_template, model.need_tokenizer());
  rules.use_context(ctx);
  rules.use_policy(model, chat);
  const PromptData data = read_prompt_data({.model = o.model,
                                            .data = o.data,
                                            .system = o.system,
                                            .suffix = o.suffix,
                                            .chat_template = o.chat_template,
                                            .max_prompt_tokens = o.max_prompt_tokens,
                                            .max_new_tokens = o.max_new_tokens},
                                           model, chat, cli.log);
  check_replay(o, model.config);
  const int64_t longest = longest_sample(data.prompts, o, model.config.max_position_embeddings);
  std::vector<MemoryPlan::Item> others = memory_of(reward, longest);
  if (process_reward)
    for (MemoryPlan::Item& item : memory_of(*process_reward, longest))
      others.push_back(std::move(item));
  const MemoryPlan plan = plan_of(o, model.config, ctx.device, longest, folder, others);
  cli.log.info(plan.text());
  warn_of_waiting(o, model.config, longest, cli.log);
  std::optional<OwnedWeights> reference;
  if (o.has_reference()) reference = first_weights(ctx, o, model, folder);
  TrainingRun run(ctx, cli, folder, spec_of(o, plan.micro_batch_tokens, chat.id()), model);
  const GrpoJob job{ctx,
                    model.config,
                    model.weights,
                    reference ? &*reference : nullptr,
                    o,
                    data.prompts,
                    model.need_tokenizer(),
                    stop_ids_for(model, &chat),
                    reward,
                    process_reward ? &*process_reward : nullptr,
                    plan.micro_batch_tokens,
                    run.store(),
                    run.id(),
                    cli.log,
                    cli.interrupt,
                    [&](StepWriter& writer, const OptimizerState& optimizer,
                        const StageState& state) { run.save(writer, optimizer, state); },
                    folder.checkpoint()};
  const GrpoResult result = run.watch([&] { return train_grpo(job); });
  run.finish(result.interrupted);
  report(result, o, cli.log);
  return 0;
}

}  // namespace

void add_grpo(Subcommands& list) {
  auto options = std::make_shared<GrpoOptions>();
  list.add({.name = "grpo",
            .about = "reinforce a model with verifiable rewards (GRPO)",
            .examples = "  temper grpo --model DIR --data train.jsonl --reward math=1,format=0.2 "
                        "--out runs/grpo\n",
            .options = grpo_options(*options),
            .run = [options](Invocation& cli) { return run_grpo(*options, cli); }});
}

}  // namespace temper
