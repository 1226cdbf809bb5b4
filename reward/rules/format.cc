#include "reward/rules/format.h"

#include <array>

#include "reward/text.h"

namespace temper {
namespace {

constexpr std::string_view kThinkOpen = "<think>", kThinkClose = "</think>";
constexpr std::string_view kAnswerOpen = "<answer>", kAnswerClose = "</answer>";

enum class Opened { automatic, yes, no };

class FormatRule final : public RewardRule {
 public:
  FormatRule(bool answer_tags, Opened opened) : answer_tags_(answer_tags), opened_(opened) {}

  Verdict score(const RewardInput& input) const override {
    const bool opened = opened_ == Opened::yes || (opened_ == Opened::automatic &&
                                                   trimmed(input.prompt).ends_with(kThinkOpen));
    const std::string fault = first_fault(input.completion, opened);
    return fault.empty() ? verdict_ok({}) : verdict_wrong({}, fault);
  }

 private:
  // Eats tag and the text before it, which must be blank or not blank as asked.
  static std::string eat(std::string_view& rest, std::string_view tag, bool text_before) {
    const size_t at = rest.find(tag);
    if (at == std::string_view::npos) return std::string(tag) + " is missing or out of order";
    const bool blank = trimmed(rest.substr(0, at)).empty();
    if (text_before && blank) return "nothing before " + std::string(tag);
    if (!text_before && !blank) return "text outside the tags, before " + std::string(tag);
    rest.remove_prefix(at + tag.size());
    return "";
  }

  std::string first_fault(std::string_view completion, bool opened) const {
    const std::array tags = {kThinkOpen, kThinkClose, kAnswerOpen, kAnswerClose};
    for (const std::string_view tag : tags) {
      const size_t most = (tag == kThinkOpen && opened) ? 0 : 1;
      if (count_of(completion, tag) > most) return std::string(tag) + " more than once";
    }
    std::string_view rest = completion;
    std::string fault;
    if (!opened) fault = eat(rest, kThinkOpen, false);
    if (fault.empty()) fault = eat(rest, kThinkClose, true);
    if (!answer_tags_) {
      if (fault.empty() && trimmed(rest).empty()) fault = "nothing after </think>";
      return fault;
    }
    if (fault.empty()) fault = eat(rest, kAnswerOpen, false);
    if (fault.empty()) fault = eat(rest, kAnswerClose, true);
    if (fault.empty() && !trimmed(rest).empty()) fault = "text after </answer>";
    return fault;
  }

  bool answer_tags_;
  Opened opened_;
};

}  // namespace

RuleInfo format_rule() {
  return {"format",
          "R1's <think> and <answer> tags over the whole completion: 1 or 0",
          {{"variant",
            "r1-zero",
            "r1-zero: think and answer tags; r1: think tags and a summary after them",
            {"r1-zero", "r1"}},
           {"opened", "auto", "whether the prompt ends with <think>", {"auto", "yes", "no"}}},
          [](const RuleParameters& parameters) -> std::unique_ptr<RewardRule> {
            const std::string& opened = parameters.text("opened");
            return std::make_unique<FormatRule>(parameters.text("variant") == "r1-zero",
                                                opened == "auto"  ? Opened::automatic
                                                : opened == "yes" ? Opened::yes
                                                                  : Opened::no);
          }};
}

}  // namespace temper
