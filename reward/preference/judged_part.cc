#include "reward/preference/judged_part.h"

#include "core/error.h"
#include "reward/preference/data.h"
#include "reward/text.h"

namespace temper {

JudgedPart judged_part_of(const RuleParameters& parameters) {
  return parameters.text("part") == "all" ? JudgedPart::all : JudgedPart::final;
}

RuleParameterInfo judged_part_parameter() {
  return {"part", "final", "what is judged: what follows </think>, or all", {"final", "all"}};
}

std::optional<std::string_view> judged_text(const RewardInput& input, JudgedPart part,
                                            std::string& reason) {
  if (part == JudgedPart::final && thinks_without_end(input.prompt, input.completion)) {
    reason = "the thinking is not closed";
    return std::nullopt;
  }
  const std::string_view text =
      trimmed(part == JudgedPart::all ? input.completion : final_part(input.completion));
  if (text.empty()) {
    reason = "there is nothing to judge";
    return std::nullopt;
  }
  return text;
}

Conversation question_of(const RewardInput& input) {
  if (input.row != nullptr) {
    try {
      Conversation asked = read_question(*input.row, "the row");
      if (!asked.empty() && asked.back().role == "assistant") asked.pop_back();
      if (!asked.empty()) return asked;
    } catch (const UserError&) {
      // A row of another form: the prompt says what was asked.
    }
  }
  return {{"user", std::string(input.prompt)}};
}

}  // namespace temper
