// What sampled prompts leave in the database.
#pragma once

#include <string>
#include <vector>

#include "data/store_step.h"
#include "rollout/evaluate.h"
#include "rollout/sample_prompts.h"

namespace temper {

// Inserts the prompt if the run does not have it yet; returns its id.
int64_t record_prompt(StepWriter& writer, const Prompt& prompt);

// Inserts the sample, with its verdicts if it was judged (`reward` may be nullptr); returns its id.
// The caller sets in `row` its place and what a trainer adds, the reward too if it is not the
// rules'; all that the sample knows is set here.
int64_t record_sample(StepWriter& writer, const CompositeReward* reward, const JudgedSample& sample,
                      NewSample row);

// Inserts prompts, samples and verdicts into an open step. Cancelled samples are left out.
void record_samples(StepWriter& writer, const SampleJob& job,
                    const std::vector<std::vector<JudgedSample>>& groups);

// Keeps what the rules' helpers wrote (the stderr of a user's program) as warnings of the step.
void record_reward_messages(Store& store, const StepKey& step, const CompositeReward& reward);

// Inserts the eval row and the metrics eval/<task>/...
void record_eval(StepWriter& writer, const SampleJob& job, const std::string& task,
                 const EvalReport& report);

}  // namespace temper
