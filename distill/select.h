// From a run's stored samples to a file to learn from: filter, mark, write.
#pragma once

#include <filesystem>

#include "data/sample.h"
#include "data/store_step.h"
#include "distill/filter.h"

namespace temper {

// How a kept sample is written. Source: DeepSeek-V3 (arXiv 2412.19437) section 5.1, which trains on
// both <problem, response> and <system prompt, problem, R1's response>.
enum class SampleForm {
  plain,       // the problem and the response
  reflection,  // with a system message that asks for reflection and verification
  both,        // a row of each
};

struct SelectOptions {
  SampleForm form = SampleForm::plain;
  std::string reflection_system;  // "": reflection_prompt()
  std::string teacher_system;     // what the teacher alone was told; rows leave it out
};

// Our wording of what such a system message asks for.
const std::string& reflection_prompt();

// All references outlive the call.
struct SelectJob {
  Store& store;
  StepKey run;  // run and kind of the samples' steps
  std::span<const Prompt> prompts;
  int64_t prompts_per_step = 64;  // as they were collected
  const FilterOptions& filters;
  const SelectOptions& options;
  std::filesystem::path file;  // written whole
};

// Filters the run's samples in the order of prompts, writes those kept as JSONL and, in one
// transaction, stores why each other one was dropped (samples.dropped) and the counts (metrics of
// kind "select", step 1). A sample is right if every rule with a weight says ok.
// Rows: {"messages":[...],"gold":"...","source":{"run":"...","sample":17}}, or "ids" and "mask" for
// prompts of ids. Throws UserError if none is left: the counts then say why; nothing is written.
FilterCounts select_samples(const SelectJob& job);

}  // namespace temper
