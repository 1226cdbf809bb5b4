// What generate, rollout, eval and grpo share: prompts of data files for a loaded model, the ids
// that end an answer, and the run's row in a database.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/load_model.h"
#include "cli/run_failure.h"
#include "cli/subcommands.h"
#include "core/file_lock.h"
#include "data/chat_template.h"
#include "data/prompts.h"
#include "data/store_step.h"
#include "rollout/options.h"
#include "rollout/sample_prompts.h"

namespace temper {

// Where prompts come from and how they are written.
struct PromptSourceOptions {
  std::string model;
  std::vector<std::string> data;
  std::string system, suffix, chat_template;
  int64_t limit = 0, max_prompt_tokens = 0;
  int64_t max_new_tokens = 0;  // of a completion; 0: none is sampled
};
void add_prompt_options(OptionsTable& table, PromptSourceOptions& options);

// The ids that end an answer: the tokenizer's, config.json's and the template's.
std::vector<int32_t> stop_ids_for(const ModelInUse& model, const ChatTemplate* chat);

// The prompts of the data files as the model is to see them. Says on the log what was read.
// Throws UserError naming what is wrong with the data, or if no prompt is left.
PromptData read_prompt_data(const PromptSourceOptions& source, const ModelInUse& model,
                            const ChatTemplate& chat, Logger& log);

// A model with its prompts, ready to sample.
struct PromptedModel {
  Context ctx;
  ModelInUse model;
  ChatTemplate chat;
  PromptData data;
  RolloutEngine engine;

  // Throws UserError naming what is wrong with the model or the data. Says on the log what was
  // read.
  PromptedModel(const PromptSourceOptions& source, const SamplingOptions& sampling,
                Invocation& cli);
  SampleOptions sample_options(const SamplingOptions& sampling, int64_t samples) const;
};

// A run of one kind in a run directory's database. A run that ends by an exception is recorded as
// failed.
class SamplingRun {
 public:
  // Of `model`, whose prompts and options are `source` and `sampling`.
  SamplingRun(const std::string& out, const std::string& kind, const PromptedModel& model,
              const PromptSourceOptions& source, const SamplingOptions& sampling, Invocation& cli);
  ~SamplingRun();
  SamplingRun(const SamplingRun&) = delete;
  SamplingRun& operator=(const SamplingRun&) = delete;

  Store& store() { return store_; }
  StepKey step(int64_t step) const { return {.run_id = id_, .kind = kind_, .step = step}; }
  // Returns body(); an exception of it is recorded among the run's events.
  template <class Body>
  auto watch(Body&& body) {
    return recording_failure(store_, id_, body);
  }
  void finish(bool interrupted);

 private:
  std::string kind_;
  Store store_;
  FileLock lock_;  // of the folder, which the store has made
  int64_t id_ = 0;
  bool finished_ = false;
};

}  // namespace temper
