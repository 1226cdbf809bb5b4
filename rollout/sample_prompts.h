// Prompts to judged completions: what rollout and eval share.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "data/sample.h"
#include "data/tokenizer.h"
#include "reward/composite.h"
#include "rollout/engine.h"

namespace temper {

struct SampleOptions {
  int64_t samples = 1;  // G completions a prompt
  int64_t max_new_tokens = 512;
  SamplingParams sampling = {};
  bool kept = false;     // whether samples say which tokens the filters kept
  bool experts = false;  // whether samples say which experts their tokens went to
  uint64_t seed = 0;
  int64_t step = 0;                            // of the random numbers
  std::vector<int32_t> stop_ids = {};          // end a completion; no part of its text
  std::vector<std::string> stop_strings = {};  // so do these; the ids keep them, the text does not
  double reward_timeout = 120.0;               // seconds after which a sample counts as not judged
};

// Everything that sampling needs; all references outlive it.
struct SampleJob {
  Context& ctx;
  RolloutEngine& engine;
  const Tokenizer& tokenizer;
  std::span<const Prompt> prompts;
  const CompositeReward* reward = nullptr;  // nullptr: completions are not judged
  SampleOptions options = {};
  size_t first_prompt = 0;  // number of prompts[0] in the data: keys the random numbers
  const Interrupt* interrupt = nullptr;
  std::function<void(const RolloutStats&)> on_step = {};
};

struct JudgedSample {
  SampleResult rollout;
  std::string text;          // without stop ids and stop strings
  RewardResult reward = {};  // no components without a reward or if the sample was cancelled
};

struct JudgedSamples {
  std::vector<std::vector<JudgedSample>> groups;  // [prompt][sample]
  RolloutStats stats;
};

// Samples all prompts and judges each completion as soon as it is finished, beside the generation.
// A prompt whose completion would not fit the model's context gets fewer new tokens, at least one.
// Throws UserError naming a prompt that is itself too long, and as RolloutEngine::run does.
JudgedSamples sample_prompts(const SampleJob& job);

// The ids that end an answer: the tokenizer's and `template_stop` (-1: none).
std::vector<int32_t> stop_ids_of(const Tokenizer& tokenizer, int32_t template_stop);

}  // namespace temper
