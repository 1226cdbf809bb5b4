// The reward of a run: weighted, gated, clamped rules. Every component's verdict is kept.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "reward/registry.h"
#include "reward/spec.h"

namespace temper {

// One component's part in a result: a row of the table `rewards`.
struct ComponentVerdict {
  double weight = 1.0;
  bool counted = true;  // false: its gate was closed or it was not asked, so it adds nothing
  Verdict verdict = {};
};

struct RewardResult {
  double value = 0.0;  // clamp(sum of weight * clamp(value) of the counted components)
  bool judged = true;  // false: a component is bad_gold or error; then value must not be used
  std::vector<ComponentVerdict> components;  // in the order of CompositeReward::names()
};

// What a component's helper wrote for people.
struct RewardMessage {
  std::string component, text;
};

// Copies share their rules.
class CompositeReward {
 public:
  // Throws UserError for an unknown rule, parameter or gate, a name used twice, or no component.
  CompositeReward(const RewardSpec& spec, const RewardRegistry& registry, const std::string& where);

  const RewardSpec& spec() const { return spec_; }
  size_t size() const { return rules_.size(); }
  const std::string& name(size_t component) const { return spec_.components[component].name; }

  // Judges one completion by every component, those that wait for the engine included. An exception
  // of a rule becomes its `error` verdict.
  RewardResult score(const RewardInput& input) const;
  // The same for several at once by the components that do not wait; at most batch_size() of them
  // go to a rule in one call. Thread-safe.
  std::vector<RewardResult> score_batch(std::span<const RewardInput> inputs) const;
  // Whether the row is one that a component is for.
  bool asks(size_t component, const RewardInput& input) const;
  // The component that says whether a sample is right: the first that was asked and is not
  // `format`; 0 if there is none.
  size_t deciding(const RewardResult& result) const;
  // Whether it says ok.
  bool is_right(const RewardResult& result) const;
  // The components that may decide, with commas between: "math,code".
  std::string deciding_names() const;
  // Whether a component waits for the end of the rollout (RewardRule::after_rollout).
  bool waits(size_t component) const { return rules_[component]->after_rollout(); }
  // Judges by the components that wait, each with all inputs in one call, and adds up again.
  // results[i] is what score_batch gave for inputs[i].
  void score_waiting(std::span<const RewardInput> inputs, std::span<RewardResult> results) const;
  // The largest batch that a rule asks for.
  size_t batch_size() const;
  // A result that says why nothing was judged.
  RewardResult unjudged(const std::string& reason) const;
  // What the rules will have in memory (RewardRule::memory), each named after its component.
  std::vector<RuleMemory> memory(int64_t sample_tokens) const;
  // Warnings about rules that wait for a sample longer than a run with --reward-timeout `seconds`.
  std::vector<std::string> time_warnings(double seconds) const;
  // What the rules' helpers wrote since the last call.
  std::vector<RewardMessage> take_messages() const;

  // Sets value, judged and what is counted from the components' verdicts, which are all there.
  void add_up(RewardResult& result) const;

 private:
  Verdict unasked(size_t component, const RewardInput& input) const;
  void judge(size_t component, std::span<const RewardInput> inputs,
             std::span<RewardResult> results) const;

  RewardSpec spec_;
  std::vector<std::shared_ptr<const RewardRule>> rules_;
  std::vector<int> gates_;  // index of the component that opens each one; -1: always open
};

// Scores all inputs on the pool's threads, each taking the next input when it is free, so that one
// slow sample holds up one thread only; then the components that wait, on the caller's thread.
// results[i] belongs to inputs[i].
std::vector<RewardResult> score_all(ThreadPool& pool, const CompositeReward& reward,
                                    std::span<const RewardInput> inputs);

}  // namespace temper
