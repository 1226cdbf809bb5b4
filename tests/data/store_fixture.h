// A small filled store for the tests of the database.
#pragma once

#include <string>
#include <vector>

#include "data/store_step.h"
#include "grpo/options.h"

namespace temper {

// What a real run of `grpo` stores.
inline const std::string& grpo_config() {
  static GrpoOptions options;
  static const std::string json = grpo_options(options).to_json();
  return json;
}

inline NewRun small_run() {
  return {.kind = "grpo",
          .model = "models/tiny",
          .seed = 0xfedcba9876543210,
          .code_version = "0.1.0",
          .command_line = "temper grpo --out 'a \"b\"'",
          .config = grpo_config(),
          .environment = R"({"device":"cpu"})"};
}

struct SmallSample {
  std::vector<int32_t> ids{5, 6, 7};
  std::vector<float> rollout{-0.5f, -1.0f, -0.25f};
  std::vector<float> trainer{-0.5f, -1.0625f, -0.25f};
  std::vector<float> reference{-0.75f, -1.5f, -0.125f};
  std::vector<uint8_t> mask{1, 1, 1};

  NewSample row(int64_t prompt, int64_t group, int64_t index) const {
    return {.prompt_id = prompt,
            .group_index = group,
            .sample_index = index,
            .completion = "<think>x</think><answer>4</answer>",
            .finish_reason = "stop",
            .ids = ids,
            .loss_mask = mask,
            .rollout_logprobs = rollout,
            .trainer_logprobs = trainer,
            .reference_logprobs = reference};
  }
};

// Writes one GRPO step: two prompts with two samples each; the second group has no signal.
// Step s uses the prompts p<s> and p<s+1>, so neighbouring steps share one.
inline void write_small_step(Store& store, int64_t run, int64_t step, bool checkpoint = false) {
  StepWriter writer(store, {run, "grpo", step}, step - 1);
  const std::vector<int32_t> prompt_ids{1, 2};
  const SmallSample sample;
  for (int64_t group = 0; group < 2; ++group) {
    const std::string key = "p" + std::to_string(step + group);
    const int64_t prompt = writer.add_prompt(
        {.key = key, .text = "2+2=", .ids = prompt_ids, .reference = "4", .data = R"({"a":2})"});
    for (int64_t index = 0; index < 2; ++index) {
      NewSample row = sample.row(prompt, group, index);
      const bool right = group == 1 || index == 0;
      row.reward = right ? 1.0 : 0.0;
      row.advantage = group == 1 ? 0.0 : (right ? 1.0 : -1.0);
      row.zero_signal = group == 1;
      row.truncated = group == 0 && index == 1;
      if (row.truncated) row.finish_reason = "length";
      row.generate_seconds = 0.5;
      const int64_t id = writer.add_sample(row);
      writer.add_reward(id, {.rule = "countdown",
                             .value = right ? 1.0 : 0.0,
                             .status = right ? "ok" : "wrong",
                             .extracted = "4",
                             .microseconds = 12});
      writer.add_reward(
          id, {.rule = "format", .value = 1.0, .weight = 0.5, .counted = false, .status = "ok"});
    }
  }
  writer.add_metric("loss", 1.0 / static_cast<double>(step));
  writer.add_metric("reward", 0.75);
  if (checkpoint) {
    writer.add_checkpoint({.path = "checkpoints/" + std::to_string(step),
                           .policy_version = step,
                           .bytes = 1000,
                           .trainer_state = R"({"epoch":0})"});
  }
  writer.commit({.wall_seconds = 2.0, .trained_tokens = 12, .generated_tokens = 12});
}

}  // namespace temper
