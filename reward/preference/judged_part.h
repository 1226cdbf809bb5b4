// What a rule with a model is to look at: the question and the part of the completion.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "data/sample.h"
#include "reward/registry.h"

namespace temper {

enum class JudgedPart { final, all };
// What the parameter "part" says.
JudgedPart judged_part_of(const RuleParameters& parameters);
// The parameter "part" of both rules.
RuleParameterInfo judged_part_parameter();

// The part, trimmed. nullopt with a reason where there is nothing to judge: an empty part, or a
// final part of thinking that is never closed.
std::optional<std::string_view> judged_text(const RewardInput& input, JudgedPart part,
                                            std::string& reason);

// The conversation that the row asks to go on; the prompt as one user turn where the row has none.
Conversation question_of(const RewardInput& input);

}  // namespace temper
