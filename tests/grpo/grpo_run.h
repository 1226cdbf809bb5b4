// A whole GRPO run of a small model on a toy, for tests.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "data/tokenizer_export.h"
#include "grpo/trainer.h"
#include "tests/support/stage_run.h"

namespace temper::test {

// The toy: the part of a completion's tokens that are small letters. Rows whose gold is "flat" get
// 0.25 whatever is written, and those whose gold is "bad" cannot be judged.
class Letters : public RewardRule {
 public:
  explicit Letters(std::function<void()> on_score) : on_score_(std::move(on_score)) {}
  Verdict score(const RewardInput& input) const override {
    if (on_score_) on_score_();
    if (input.gold == "bad") return verdict_bad_gold("the gold is unusable");
    double letters = 0.0;
    for (const char c : input.completion) letters += c >= 'a' && c <= 'z';
    Verdict v = verdict_ok("letters");
    v.value = input.gold == "flat" ? 0.25
              : input.completion_tokens == 0
                  ? 0.0
                  : letters / static_cast<double>(input.completion_tokens);
    return v;
  }

 private:
  std::function<void()> on_score_;
};

// A small V3 over the tiny tokenizer.
inline ModelConfig toy_config() {
  ModelConfig config = small_v3_config();
  config.vocab_size = TinyTokenizer::kVocabSize;
  config.eos_token_id = {TinyTokenizer::kEnd};
  config.initializer_range = 0.1;
  return config;
}

struct Options : GrpoOptions {
  Options() {
    steps = 2;
    prompts_per_step = 4;
    samples_per_prompt = 4;
    max_new_tokens = 8;
    rollout_batch = 5;
    kl_coef = 0.0;
    training.learning_rate = 1e-2;
    training.seed = 9;
  }
};

struct GrpoRun : StageRun {
  GrpoRun(const GrpoOptions& o, const std::vector<std::string>& golds,
          const ModelConfig& c = toy_config(), DType dtype = DType::f32,
          int64_t micro_batch_tokens = 64)
      : StageRun("grpo"),
        config(c),
        options(o),
        weights(allocate_weights(config, dtype)),
        start(allocate_weights(config, dtype)),
        reference(allocate_weights(config, dtype)),
        tokens(micro_batch_tokens) {
    initialize_weights(weights.view, config, 6);
    initialize_weights(start.view, config, 6);
    initialize_weights(reference.view, config, 6);
    write_tiny_tokenizer(dir.path());
    tokenizer = std::make_unique<Tokenizer>(dir.path());
    for (size_t i = 0; i < golds.size(); ++i) {
      Prompt& p = prompts.emplace_back();
      p.id = "row:" + std::to_string(i + 1);
      p.text = "say " + std::to_string(i);
      p.ids = tokenizer->encode(p.text);
      p.gold = golds[i];
      p.extra = "{}";
    }
  }
  GrpoResult run() {
    RewardRegistry registry;
    registry.add({"letters", "small letters", {}, [this](const RuleParameters&) {
                    return std::make_unique<Letters>(on_score);
                  }});
    const CompositeReward reward(parse_reward_spec("letters=1", "test"), registry, "test");
    return train_grpo(
        {ctx, config, weights, options.kl_coef > 0 ? &reference : nullptr, options, prompts,
         *tokenizer, tokenizer->eos_ids(), reward,
         options.process_reward.empty() ? nullptr : &reward, tokens, store, id, log, interrupt,
         [&](StepWriter& writer, const OptimizerState& optimizer, const StageState& state) {
           const int64_t step = state.step;
           const std::string path = "step-" + std::to_string(step);
           save_training_checkpoint(
               ctx, dir / path, weights, config,
               {optimizer.low.view, optimizer.m.view, optimizer.v.view, optimizer.step}, state, {});
           writer.add_checkpoint({.path = path, .policy_version = step});
           if (step == interrupt_at) interrupt.request();
         },
         resume ? &*resume : nullptr});
  }
  // The next run() goes on from a checkpoint that another run saved.
  void resume_from(const std::filesystem::path& checkpoint) {
    weights = load_model(ctx, checkpoint, weights.storage.view.dtype).weights;
    resume.emplace(checkpoint);
  }
  std::vector<SampleRow> samples(int64_t step) {
    return read_samples(store.database(), {id, "grpo", step});
  }

  ModelConfig config;
  GrpoOptions options;
  Context ctx{2};
  OwnedWeights weights, start, reference;
  int64_t tokens;
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<Prompt> prompts;
  std::function<void()> on_score;
  int64_t interrupt_at = -1;
  std::optional<TrainingCheckpoint> resume;
};

// Golds of six prompts that all have a signal.
inline const std::vector<std::string> kPlain(6, "any");

}  // namespace temper::test
