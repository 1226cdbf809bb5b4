#include "reward/rules/ifeval.h"

#include <algorithm>

#include "core/utf8.h"
#include "reward/ifeval/instruction.h"
#include "reward/text.h"

namespace temper {
namespace {

std::string without_stars(std::string_view text) {
  std::string result(text);
  std::erase(result, '*');
  return result;
}

// The response, and what else the loose metric accepts.
std::vector<std::string> forms_of(std::string_view response, bool loose) {
  std::vector<std::string> forms = {std::string(response)};
  if (!loose) return forms;
  const size_t first = response.find('\n'), last = response.rfind('\n');
  if (first != std::string_view::npos) {
    forms.emplace_back(trimmed(response.substr(first + 1)));
    forms.emplace_back(trimmed(response.substr(0, last)));
    if (last > first) forms.emplace_back(trimmed(response.substr(first + 1, last - first - 1)));
  }
  for (size_t i = 0, n = forms.size(); i < n; ++i) forms.push_back(without_stars(forms[i]));
  std::erase_if(forms, [](const std::string& form) { return trimmed(form).empty(); });
  return forms;
}

class IfevalRule final : public RewardRule {
 public:
  IfevalRule(bool loose, bool share) : loose_(loose), share_(share) {}

  Verdict score(const RewardInput& input) const override {
    const JsonValue* ids =
        input.row == nullptr ? nullptr : find_member(*input.row, "instruction_id_list");
    const JsonValue* arguments = input.row == nullptr ? nullptr : find_member(*input.row, "kwargs");
    if (ids == nullptr || !ids->IsArray() || ids->Empty()) {
      return verdict_bad_gold("the row has no 'instruction_id_list'");
    }
    if (arguments == nullptr || !arguments->IsArray() || arguments->Size() != ids->Size()) {
      return verdict_bad_gold("'kwargs' does not have one entry an instruction");
    }
    const bool unfinished = thinks_without_end(input.prompt, input.completion);
    const std::string response =
        unfinished ? "" : repair_utf8(trimmed(final_part(input.completion)));
    std::vector<std::string> forms;
    if (!response.empty()) forms = forms_of(response, loose_);

    std::string broken;
    size_t held = 0;
    for (rapidjson::SizeType i = 0; i < ids->Size(); ++i) {
      const std::string id = value_text((*ids)[i]);
      const InstructionCheck holds = find_instruction(id);
      if (holds == nullptr) return verdict_error("unknown instruction '" + id + "'");
      std::string fault;
      if (follows(holds, forms, (*arguments)[i], fault)) {
        ++held;
      } else {
        broken += (broken.empty() ? "" : ", ") + id;
      }
      if (!fault.empty()) return verdict_bad_gold(id + ": " + fault);
    }
    if (forms.empty()) return verdict_no_answer("no response");
    if (held == ids->Size()) return verdict_ok({});
    Verdict verdict = verdict_wrong({}, "does not hold: " + broken);
    if (share_) verdict.value = static_cast<double>(held) / ids->Size();
    return verdict;
  }

 private:
  // An empty response follows nothing; the arguments are looked at all the same.
  static bool follows(InstructionCheck holds, const std::vector<std::string>& forms,
                      const JsonValue& arguments, std::string& fault) {
    if (forms.empty()) {
      const InstructionInput in{.response = "-", .arguments = arguments};
      holds(in);
      fault = in.error;
      return false;
    }
    return std::any_of(forms.begin(), forms.end(), [&](const std::string& form) {
      const InstructionInput in{.response = form, .arguments = arguments};
      const bool held = holds(in);
      if (!in.error.empty()) fault = in.error;
      return held;
    });
  }

  bool loose_, share_;
};

}  // namespace

RuleInfo ifeval_rule() {
  return {"ifeval",
          "the row's IFEval instructions hold in the response",
          {{"mode", "strict", "IFEval's strict or loose metric", {"strict", "loose"}},
           {"credit", "all", "all or nothing, or the share that holds", {"all", "share"}}},
          [](const RuleParameters& parameters) -> std::unique_ptr<RewardRule> {
            return std::make_unique<IfevalRule>(parameters.text("mode") == "loose",
                                                parameters.text("credit") == "share");
          }};
}

}  // namespace temper
