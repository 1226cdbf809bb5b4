// temper grpo: group relative policy optimisation.
#include <memory>

#include "cli/training_run.h"
#include "core/device.h"
#include "data/chat_template.h"
#include "data/prompts.h"
#include "grpo/trainer.h"
#include "model/training/memory_plan.h"
#include "reward/registry.h"
#include "reward/spec.h"
#include "rollout/sample_prompts.h"

namespace temper {
namespace {

std::vector<Prompt> read_grpo_prompts(const GrpoOptions& o, const ModelConfig& config,
                                      const Tokenizer& tokenizer, const ChatTemplate& chat,
                                      Logger& log) {
  log.info("chat template: " + chat.id());
  PromptOptions options;
  options.system = o.system;
  options.suffix = o.suffix;
  options.max_tokens = o.max_prompt_tokens;
  options.vocab_size = config.vocab_size;
  PromptData data = read_prompts({o.data.begin(), o.data.end()}, &tokenizer, &chat, options);
  log.info(std::to_string(data.prompts.size()) + " prompts of " + std::to_string(data.rows) +
           " rows");
  if (data.too_long > 0)
    log.warn(std::to_string(data.too_long) + " prompts are longer than " +
             std::to_string(o.max_prompt_tokens) + " tokens and were left out");
  return std::move(data.prompts);
}

// The cache that the rollout needs at most: every running sequence at its full length.
int64_t cache_bytes(const GrpoOptions& o, const ModelConfig& config) {
  const int64_t length = o.max_prompt_tokens + o.max_new_tokens;
  return o.rollout_batch * length * config.num_hidden_layers * config.cache_width() *
         static_cast<int64_t>(size_of(o.training.dtype));
}

void report(const GrpoResult& r, const GrpoOptions& o, Logger& log) {
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
  log.info("model: " + o.out + "/model   look inside: temper inspect " + o.out);
}

int run_grpo(const GrpoOptions& o, Invocation& cli) {
  const CompositeReward reward(parse_reward_spec(o.reward, "--reward"), builtin_rules(),
                               "--reward");
  Context ctx(static_cast<int>(cli.common.threads), device_of(cli.common.device));
  ModelInUse model = load_model_in_use(ctx, o.model, o.training.dtype, cli.log);
  const Tokenizer& tokenizer = model.need_tokenizer();
  const ChatTemplate chat = ChatTemplate::choose(o.chat_template, tokenizer);
  const std::vector<Prompt> prompts = read_grpo_prompts(o, model.config, tokenizer, chat, cli.log);
  const bool with_reference = o.kl_coef > 0.0;
  const MemoryPlan plan = plan_training(model.config, train_options_of(o.training),
                                        {.dtype = o.training.dtype,
                                         .device = ctx.device,
                                         .longest_sequence = o.max_prompt_tokens + o.max_new_tokens,
                                         .micro_batch_tokens = o.training.micro_batch_tokens,
                                         .cache_bytes = cache_bytes(o, model.config),
                                         .reference = with_reference});
  cli.log.info(plan.text());

  std::optional<ModelInUse> reference;
  if (with_reference) reference = load_model_in_use(ctx, o.model, o.training.dtype, cli.log);
  TrainingRun run(ctx, cli, {"grpo", o.out, o.data, o.keep, o.save_dtype}, model,
                  static_cast<uint64_t>(o.training.seed));
  const GrpoResult result =
      train_grpo({ctx, model.config, model.weights, reference ? &reference->weights.view : nullptr,
                  o, prompts, tokenizer, stop_ids_of(tokenizer, chat.stop_id()), reward,
                  plan.micro_batch_tokens, run.store(), run.id(), cli.log, cli.interrupt,
                  [&](StepWriter& writer, int64_t step, const OptimizerState& optimizer) {
                    run.save(writer, step, optimizer);
                  }});
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
