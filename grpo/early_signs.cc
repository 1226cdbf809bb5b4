#include "grpo/early_signs.h"

#include <algorithm>

namespace temper {
namespace {

// Whether within each group all samples have the same reward.
bool is_constant(const StepBatch& batch) {
  return std::all_of(batch.groups.begin(), batch.groups.end(), [](const GrpoGroup& group) {
    return std::all_of(group.samples.begin(), group.samples.end(), [&](const GrpoSample& s) {
      return s.reward.value == group.samples.front().reward.value;
    });
  });
}

bool is_endless(const StepBatch& batch) {
  return std::all_of(batch.groups.begin(), batch.groups.end(), [](const GrpoGroup& group) {
    return std::all_of(group.samples.begin(), group.samples.end(),
                       [](const GrpoSample& s) { return s.truncated(); });
  });
}

}  // namespace

void EarlySigns::look(const StepBatch& batch) {
  if (looked_) return;
  looked_ = true;
  if (batch.groups.empty()) return;
  const std::string here = "in the first step ";
  if (is_constant(batch))
    warn(batch.step,
         here +
             "no prompt had unequal rewards, so nothing was learned: the task is too hard or too "
             "easy for the model, or the reward does not see what it should; look at temper "
             "inspect samples " +
             job_.options.out +
             " and temper reward audit, raise --samples-per-prompt or --temperature, or teach the "
             "format by temper sft first");
  if (is_endless(batch))
    warn(batch.step, here + "every completion was cut off at --max-new-tokens " +
                         std::to_string(job_.options.max_new_tokens) +
                         ": the model never stops; raise it, give --stop, check the chat template "
                         "and the model's eos_token_id, or teach it to stop by temper sft first");
}

void EarlySigns::warn(int64_t step, const std::string& text) const {
  job_.log.warn("step " + std::to_string(step) + ": " + text);
  job_.store.add_event(job_.run_id, EventLevel::warning, text, "{}", step);
}

}  // namespace temper
