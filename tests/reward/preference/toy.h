// What the tests of reward models share: a toy preference that can be learnt from the words alone.
#pragma once

#include <memory>

#include "data/tokenizer_export.h"
#include "reward/preference/reward_model.h"
#include "reward/preference/trainer.h"
#include "tests/support/stage_run.h"

namespace temper::test {

// A small V3 or qwen3 with a scalar head, over the tiny tokenizer.
inline ModelConfig toy_reward_config(bool gqa = false) {
  ModelConfig config = gqa ? small_gqa_config() : small_v3_config();
  config.vocab_size = TinyTokenizer::kVocabSize;
  config.eos_token_id = {TinyTokenizer::kEnd};
  config.initializer_range = 0.1;
  return reward_model_config(config);
}

// Answers with "+" in them are better than answers with "-"; all else is noise.
inline std::vector<PreferenceRow> toy_rows(size_t count, uint64_t seed) {
  Random random(seed, RandomStream::data);
  const auto noise = [&](uint32_t most) {
    std::string text;
    for (uint32_t i = 1 + random.below(most); i > 0; --i)
      text += static_cast<char>('a' + random.below(4));
    return text;
  };
  std::vector<PreferenceRow> rows;
  for (size_t i = 0; i < count; ++i) {
    PreferenceRow& row = rows.emplace_back();
    row.prompt = {{"user", "row " + std::to_string(i) + noise(3)}};
    row.answers = {noise(4) + "+" + noise(4), noise(4) + "-" + noise(4)};
    row.good = {true, false};
  }
  return rows;
}

// A training run on the toy.
struct RewardRun : StageRun {
  RewardRun(const ModelConfig& c, const RewardModelOptions& o, DType dtype = DType::f32,
            int64_t micro_batch_tokens = 256)
      : StageRun("reward-model"),
        config(c),
        options(o),
        weights(allocate_weights(config, dtype)),
        tokens(micro_batch_tokens) {
    initialize_weights(weights.view, config, 6);
    write_tiny_tokenizer(dir.path());
    tokenizer = std::make_unique<Tokenizer>(dir.path());
    chat = std::make_unique<ChatTemplate>("temper", *tokenizer);
    for (const PreferenceRow& row : toy_rows(48, 1))
      train.push_back(make_example(*tokenizer, *chat, row, 64));
    for (const PreferenceRow& row : toy_rows(24, 2))
      heldout.push_back(make_example(*tokenizer, *chat, row, 64));
  }
  RewardModelJob job() {
    return {ctx,
            config,
            weights,
            options,
            train,
            heldout,
            tokens,
            store,
            id,
            log,
            interrupt,
            [this](StepWriter& writer, const OptimizerState&, const StageState& state) {
              const int64_t step = state.step;
              const std::string path = "step-" + std::to_string(step);
              save_model(weights.view, config, dir / path, {.tokenizer_from = dir.path()});
              writer.add_checkpoint({.path = path, .policy_version = step});
              if (step == interrupt_at) interrupt.request();
            }};
  }
  RewardModelResult run() { return train_reward_model(job()); }

  ModelConfig config;
  RewardModelOptions options;
  Context ctx{2};
  OwnedWeights weights;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat;
  std::vector<PreferenceExample> train, heldout;
  int64_t tokens;
  int64_t interrupt_at = -1;
};

inline RewardModelOptions toy_options(int64_t steps = 3) {
  RewardModelOptions o;
  o.batch_size = 8;
  o.max_steps = steps;
  o.training.learning_rate = 1e-2;
  o.training.seed = 4;
  return o;
}

}  // namespace temper::test
