// Verdicts as JSON.
#include "cli/replay_reward.h"

namespace temper {
namespace {

std::string verdict_json(const Verdict& v) {
  return "\"value\":" + option_text(v.value) + ",\"status\":\"" + std::string(name_of(v.status)) +
         "\",\"extracted\":" + quote_json(v.extracted) + ",\"reason\":" + quote_json(v.reason) +
         ",\"microseconds\":" + std::to_string(v.microseconds);
}

}  // namespace

std::string result_json(const CompositeReward& reward, const RewardResult& result) {
  if (result.components.size() == 1 && reward.spec().components[0].weight == 1.0) {
    return "{" + verdict_json(result.components[0].verdict) + "}";
  }
  std::string parts;
  for (size_t i = 0; i < result.components.size(); ++i) {
    const ComponentVerdict& c = result.components[i];
    parts += (parts.empty() ? "" : ",") + std::string("{\"rule\":") + quote_json(reward.name(i)) +
             ",\"weight\":" + option_text(c.weight) +
             ",\"counted\":" + (c.counted ? "true," : "false,") + verdict_json(c.verdict) + "}";
  }
  return "{\"value\":" + (result.judged ? option_text(result.value) : std::string("null")) +
         ",\"judged\":" + (result.judged ? "true" : "false") + ",\"components\":[" + parts + "]}";
}

}  // namespace temper
