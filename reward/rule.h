// A rule: judges one completion. Rules hold no state that scoring changes, so threads share them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "reward/sample_clock.h"
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
  SampleClock* clock = nullptr;    // null: nobody gives the sample up
};

// Memory that a rule takes beside the model that generates.
struct RuleMemory {
  std::string what;
  int64_t bytes = 0;
};

class RewardRule {
 public:
  virtual ~RewardRule() = default;

  // Judges one completion. Deterministic, bounded by a step budget and thread-safe.
  // Throws: nothing that bad input causes; bad input is a verdict.
  virtual Verdict score(const RewardInput& input) const = 0;

  // How many completions the rule likes to get in one call; above 1 only where a call has a price
  // of its own, such as a request to a server. score_batch() is then what is called.
  virtual size_t batch_size() const { return 1; }
  // Judges several completions; result[i] belongs to inputs[i].
  virtual std::vector<Verdict> score_batch(std::span<const RewardInput> inputs) const {
    std::vector<Verdict> verdicts;
    for (const RewardInput& input : inputs) verdicts.push_back(score(input));
    return verdicts;
  }

  // True for a rule that computes on the engine that generates: it waits until the generation has
  // ended and then gets all completions in one call of score_batch(), on the thread that generated.
  virtual bool after_rollout() const { return false; }

  // What the rule will have in memory when it judges samples (prompt and completion) of up to
  // `sample_tokens`; nothing that matters for a rule without a model.
  virtual std::vector<RuleMemory> memory(int64_t sample_tokens) const {
    (void)sample_tokens;
    return {};
  }

  // The seconds after which the rule itself ends a sample that takes too long; 0: it has no such.
  virtual double own_time_limit() const { return 0.0; }

  // What a helper of the rule (a user's program) wrote for people since the last call.
  virtual std::vector<std::string> take_messages() const { return {}; }
};

}  // namespace temper
