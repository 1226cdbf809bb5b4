// The options of `temper rejection` and `temper distill`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distill/filter.h"
#include "distill/select.h"
#include "model/ops/row_kl.h"
#include "rollout/sampling_params.h"
#include "sft/options.h"

namespace temper {

// Who answers which prompts how, and which answers are kept.
struct TeachOptions {
  std::string teacher;            // a checkpoint folder, a JSON file of traces, or a URL
  std::vector<std::string> data;  // prompts; traces bring their own
  std::string out;                // run directory: run.db and samples.jsonl
  std::string reward;
  double reward_timeout = 120.0;  // seconds
  std::string system, suffix, chat_template;
  int64_t limit = 0, max_prompt_tokens = 0;
  bool resume = false;

  int64_t samples = 4, prompts_per_step = 64;
  SamplingParams sampling;
  int64_t max_new_tokens = 512;
  std::vector<std::string> stop;
  int64_t batch = 64;           // samples decoded together
  int64_t cache_memory = 4096;  // MiB, that their KV cache may have

  std::string server_model, api_key_env;
  int64_t connections = 8, retries = 3;
  double timeout = 600.0;  // seconds

  FilterOptions filters;
  SelectOptions select;

  enum class Source { checkpoint, traces, server };
  // What `teacher` names. Throws UserError if it is none of the three.
  Source source() const;
};

// How a student learns from a teacher.
enum class DistillLoss { sft, forward_kl, reverse_kl };

struct DistillOptions {
  TeachOptions teach;
  std::string student;
  DistillLoss loss = DistillLoss::sft;
  bool on_policy = false;
  double kl_temperature = 1.0;
  std::vector<std::string> mix;  // FILE:WEIGHT, trained on beside the teacher's samples
  SftOptions train;              // model, data and out are set by the stage
};

// The table of `temper rejection`, bound to the options; `seed` and `dtype` are those of sampling.
OptionsTable rejection_options(TeachOptions& options, int64_t& seed, DType& dtype);
// The table of `temper distill`.
OptionsTable distill_options(DistillOptions& options);

// Throws UserError for options that contradict each other, with the mend.
void check_teach_options(const TeachOptions& options);
void check_distill_options(const DistillOptions& options);
// The files that the student is trained on, as `--data` takes them: the teacher's samples with the
// weight that --mix leaves them. Throws UserError unless its weights are shares that leave some.
std::vector<std::string> student_data(const DistillOptions& options, const std::string& samples);

}  // namespace temper
