// Process rewards: a reward for each step of a completion.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"
#include "grpo/group.h"
#include "grpo/trainer.h"

namespace temper {

// A step of a completion ends with token `end`, and its text with the first `length` bytes.
struct CompletionStep {
  int64_t end = 0;
  size_t length = 0;
};

// Cuts a completion behind every `separator` that has text before and behind it; the last step
// takes the rest, up to the last token. `text` is the decoded completion without what stopped it,
// `ids` its tokens with that. A completion without text is one step.
std::vector<CompletionStep> split_steps(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                                        std::string_view text, std::string_view separator);

// Judges each step of each used sample by job.process_reward, which sees the completion up to the
// step's end, and sets token_advantages to process_advantages() of the group and `advantage` to
// their mean. A group with a step that could not be judged is marked as not judged.
// Source: DeepSeekMath (arXiv 2402.03300) section 4.1.3, with rules for the process reward model.
void set_process_advantages(const GrpoJob& job, std::vector<GrpoGroup>& groups);

}  // namespace temper
