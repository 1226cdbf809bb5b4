// How good a model is on a set of prompts: sample, judge, aggregate, record.
#pragma once

#include <string>
#include <vector>

#include "data/store_step.h"
#include "rollout/estimators.h"
#include "rollout/sample_prompts.h"

namespace temper {

// The chance that one of k samples is right, over prompts with at least k judged samples.
struct PassAtK {
  int64_t k = 1;
  MeanError value = {};
};

// The share of samples that a component calls ok: a mean over prompts, as pass@1 is.
struct ComponentRate {
  std::string name;
  MeanError ok = {};
};

// pass@1 with its error. Samples of one prompt are alike, so the error is over prompts.
struct EvalSummary {
  int64_t prompts = 0;    // with at least one judged sample
  int64_t samples = 0;    // judged
  int64_t unjudged = 0;   // could not be judged: in no rate below
  int64_t cancelled = 0;  // interrupted: likewise
  // Rates and means; nothing was judged: NaN, which the database keeps as NULL.
  double pass_at_1 = 0.0;        // avg@k: mean over prompts of the share of right samples
  double standard_error = 0.0;   // sqrt(sum_i (m_i - mean)^2 / (n (n - 1))), m_i a prompt's share
  std::string right;             // which components say it, with commas: CompositeReward::deciding
  std::vector<PassAtK> pass_at;  // k = 2, 4, 8, ... and all samples
  MeanError majority;            // maj@k over all k samples; prompts without an answer count as 0
  std::vector<ComponentRate> components;  // all but `format`, where there are several
  double mean_reward = 0.0;
  double format_rate = -1.0;  // share of samples that the rule `format` calls ok; -1: no such rule
  double mean_tokens = 0.0, truncated_rate = 0.0;
};

// A sample is right if the reward's first component that was asked and is not `format` says ok.
// Source of the error: clustered by prompt, as independent prompts are the sampling unit (Miller
// 2024, arXiv 2411.00640, section 2.2; equal group sizes).
EvalSummary summarise(const CompositeReward& reward,
                      const std::vector<std::vector<JudgedSample>>& groups);

struct EvalReport {
  EvalSummary summary;
  RolloutStats stats;
  JudgedSamples samples;
};

// Why samples could not be judged, and for how many each reason holds, most first; "" if all were.
std::string unjudged_reasons(const CompositeReward& reward,
                             const std::vector<std::vector<JudgedSample>>& groups);

// Samples job.options.samples completions a prompt and judges them. job.reward must be set.
EvalReport evaluate(const SampleJob& job);

// What the row of an evaluation keeps besides its columns: {"right":"math","pass_at":[...],...}.
std::string eval_details(const SampleOptions& options, const EvalSummary& summary);

// One line a number, aligned: what `temper eval` prints.
std::string eval_table(const std::string& task, const SampleOptions& options,
                       const EvalReport& report);

}  // namespace temper
