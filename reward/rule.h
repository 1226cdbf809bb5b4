// A rule: judges one completion. Rules hold no state that scoring changes, so threads share them.
#pragma once

#include <string_view>

#include "core/json.h"
#include "reward/verdict.h"

namespace temper {

// What a rule may look at. The views must outlive the call only.
struct RewardInput {
  std::string_view prompt = {};
  std::string_view completion = {};
  std::string_view gold = {};      // the row's reference answer; empty if it has none
  const JsonValue* row = nullptr;  // the data row, for rules that read fields of their own
  int64_t completion_tokens = -1;  // -1: not known
  bool truncated = false;          // ended by the length limit, not by the model
};

class RewardRule {
 public:
  virtual ~RewardRule() = default;

  // Judges one completion. Deterministic, bounded by a step budget and thread-safe.
  // Throws: nothing that bad input causes; bad input is a verdict.
  virtual Verdict score(const RewardInput& input) const = 0;
};

}  // namespace temper
