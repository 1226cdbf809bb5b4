#include "reward/composite.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/error.h"
#include "core/options.h"
#include "core/stopwatch.h"

namespace temper {
namespace {

double clamped(double value, const RewardClamp& clamp) {
  return std::min(std::max(value, clamp.low), clamp.high);
}

// Calls body() for `count` verdicts; an exception becomes that many errors.
template <class Body>
std::vector<Verdict> timed(size_t count, Body&& body) {
  const Stopwatch stopwatch;
  std::vector<Verdict> verdicts;
  try {
    verdicts = body();
    require(verdicts.size() == count, "a rule must give a verdict for each completion");
  } catch (const std::exception& failure) {
    verdicts.assign(count, verdict_error(failure.what()));
  }
  const double microseconds = stopwatch.seconds() * 1e6;
  for (Verdict& verdict : verdicts) {
    verdict.microseconds = static_cast<int64_t>(microseconds / static_cast<double>(count));
  }
  return verdicts;
}

}  // namespace

CompositeReward::CompositeReward(const RewardSpec& spec, const RewardRegistry& registry,
                                 const std::string& where)
    : spec_(spec) {
  if (spec_.components.empty()) {
    throw UserError({.what = "the reward has no component",
                     .where = where,
                     .expected = "for instance math=1,format=0.2",
                     .found = {},
                     .hint = {}});
  }
  const auto& components = spec_.components;
  for (size_t i = 0; i < components.size(); ++i) {
    rules_.push_back(registry.make(components[i].rule, components[i].parameters, where));
    int gate = -1;
    for (size_t j = 0; j < components.size(); ++j) {
      if (j != i && components[j].name == components[i].name) {
        throw UserError({.what = "two reward components of one name",
                         .where = where,
                         .expected = {},
                         .found = components[i].name,
                         .hint = "name one with 'as': " + components[i].rule + "=1 as other"});
      }
      if (j != i && components[j].name == components[i].gate) gate = static_cast<int>(j);
    }
    if (components[i].gate == components[i].name) gate = static_cast<int>(i);
    if (gate < 0 && !components[i].gate.empty()) {
      throw UserError({.what = "the gate of '" + components[i].name + "' is not another component",
                       .where = where,
                       .expected = "the name of a component",
                       .found = components[i].gate,
                       .hint = "add " + components[i].gate + "=0 to judge it without weight"});
    }
    gates_.push_back(gate);
  }
  for (size_t i = 0; i < components.size(); ++i) {
    int gate = gates_[i];
    for (size_t steps = 0; gate >= 0 && steps < components.size(); ++steps) {
      if (gate == static_cast<int>(i)) {
        throw UserError({.what = "the gate of '" + components[i].name + "' depends on itself",
                         .where = where,
                         .expected = "gates that lead to a component without a gate",
                         .found = components[i].name + " and " + components[i].gate,
                         .hint = "take one of the gates away"});
      }
      gate = gates_[static_cast<size_t>(gate)];
    }
  }
}

RewardResult CompositeReward::score(const RewardInput& input) const {
  std::vector<RewardResult> result = score_batch({&input, 1});
  score_waiting({&input, 1}, result);
  return std::move(result.front());
}

std::vector<RewardResult> CompositeReward::score_batch(std::span<const RewardInput> inputs) const {
  std::vector<RewardResult> results(inputs.size());
  for (RewardResult& result : results) result.components.resize(rules_.size());
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (waits(i)) continue;
    const size_t most = std::max<size_t>(1, rules_[i]->batch_size());
    for (size_t at = 0; at < inputs.size(); at += most) {
      const size_t count = std::min(most, inputs.size() - at);
      judge(i, inputs.subspan(at, count), std::span(results).subspan(at, count));
    }
  }
  for (RewardResult& result : results) add_up(result);
  return results;
}

void CompositeReward::score_waiting(std::span<const RewardInput> inputs,
                                    std::span<RewardResult> results) const {
  bool any = false;
  for (size_t i = 0; i < rules_.size() && !inputs.empty(); ++i) {
    if (!waits(i)) continue;
    judge(i, inputs, results);
    any = true;
  }
  if (!any) return;
  for (RewardResult& result : results) add_up(result);
}

void CompositeReward::judge(size_t component, std::span<const RewardInput> inputs,
                            std::span<RewardResult> results) const {
  const RewardRule& rule = *rules_[component];
  const double weight = spec_.components[component].weight;
  std::vector<RewardInput> asked;
  std::vector<size_t> places;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (asks(component, inputs[i])) {
      asked.push_back(inputs[i]);
      places.push_back(i);
    } else {
      results[i].components[component] = {weight, false, unasked(component, inputs[i])};
    }
  }
  if (asked.empty()) return;
  std::vector<Verdict> verdicts = timed(asked.size(), [&] {
    if (rule.batch_size() > 1 || rule.after_rollout()) return rule.score_batch(asked);
    return std::vector<Verdict>{rule.score(asked.front())};
  });
  for (size_t i = 0; i < places.size(); ++i) {
    results[places[i]].components[component] = {weight, true, std::move(verdicts[i])};
  }
}

bool CompositeReward::asks(size_t component, const RewardInput& input) const {
  const RewardComponentSpec& spec = spec_.components[component];
  if (spec.row_field.empty()) return true;
  const JsonValue* field =
      input.row == nullptr ? nullptr : find_member(*input.row, spec.row_field.c_str());
  if (field == nullptr) return false;
  const auto& values = spec.row_values;
  return std::find(values.begin(), values.end(), value_text(*field)) != values.end();
}

// A row that no rule but `format` is for has nobody to say what is right: the row's fault.
Verdict CompositeReward::unasked(size_t component, const RewardInput& input) const {
  if (spec_.components[component].rule == "format") return verdict_not_asked();
  std::string fields;
  for (size_t c = 0; c < size(); ++c) {
    const RewardComponentSpec& spec = spec_.components[c];
    if (spec.rule == "format") continue;
    if (c < component || asks(c, input)) return verdict_not_asked();
    fields += (fields.empty() ? "" : ", ") + spec.name + " is for " + spec.row_field;
  }
  return verdict_bad_gold("no rule is for this row: " + fields);
}

size_t CompositeReward::deciding(const RewardResult& result) const {
  for (size_t c = 0; c < result.components.size(); ++c)
    if (spec_.components[c].rule != "format" &&
        result.components[c].verdict.status != VerdictStatus::not_asked)
      return c;
  return 0;
}

bool CompositeReward::is_right(const RewardResult& result) const {
  const size_t c = deciding(result);
  return c < result.components.size() && result.components[c].verdict.status == VerdictStatus::ok;
}

std::string CompositeReward::deciding_names() const {
  std::string names;
  for (const RewardComponentSpec& c : spec_.components) {
    if (c.rule == "format") continue;
    names += (names.empty() ? "" : ",") + c.name;
    if (c.row_field.empty()) break;  // it decides wherever none before it does
  }
  return names.empty() ? name(0) : names;
}

void CompositeReward::add_up(RewardResult& result) const {
  double sum = 0.0;
  result.judged = true;
  for (size_t i = 0; i < rules_.size(); ++i) {
    ComponentVerdict& part = result.components[i];
    const RewardComponentSpec& spec = spec_.components[i];
    if (part.verdict.status == VerdictStatus::not_asked) {
      part.counted = false;
      continue;
    }
    if (could_not_judge(part.verdict.status) || !std::isfinite(part.verdict.value)) {
      result.judged = false;
    }
    if (gates_[i] >= 0) {
      const Verdict& gate = result.components[static_cast<size_t>(gates_[i])].verdict;
      part.counted = (gate.status == VerdictStatus::ok) != spec.gate_negated;
    }
    if (part.counted) sum += part.weight * clamped(part.verdict.value, spec.clamp);
  }
  result.value = clamped(sum, spec_.total_clamp);
}

size_t CompositeReward::batch_size() const {
  size_t most = 1;
  for (const auto& rule : rules_) most = std::max(most, rule->batch_size());
  return most;
}

RewardResult CompositeReward::unjudged(const std::string& reason) const {
  RewardResult result{.value = 0.0, .judged = false, .components = {}};
  for (const RewardComponentSpec& c : spec_.components) {
    result.components.push_back({c.weight, true, verdict_error(reason)});
  }
  return result;
}

std::vector<RuleMemory> CompositeReward::memory(int64_t sample_tokens) const {
  std::vector<RuleMemory> all;
  for (size_t i = 0; i < rules_.size(); ++i) {
    for (RuleMemory& item : rules_[i]->memory(sample_tokens)) {
      all.push_back({"reward " + name(i) + ": " + item.what, item.bytes});
    }
  }
  return all;
}

std::vector<std::string> CompositeReward::time_warnings(double seconds) const {
  std::vector<std::string> warnings;
  for (size_t i = 0; i < size(); ++i) {
    const double own = rules_[i]->own_time_limit();
    if (own <= seconds) continue;
    warnings.push_back("reward '" + name(i) + "': timeout=" + option_text(own) +
                       " is never reached: --reward-timeout " + option_text(seconds) +
                       " ends a sample before");
  }
  return warnings;
}

std::vector<RewardMessage> CompositeReward::take_messages() const {
  std::vector<RewardMessage> messages;
  for (size_t i = 0; i < rules_.size(); ++i) {
    for (std::string& text : rules_[i]->take_messages()) {
      messages.push_back({name(i), std::move(text)});
    }
  }
  return messages;
}

std::vector<RewardResult> score_all(ThreadPool& pool, const CompositeReward& reward,
                                    std::span<const RewardInput> inputs) {
  std::vector<RewardResult> results(inputs.size());
  std::atomic<size_t> next{0};
  const size_t most = reward.batch_size();
  const auto take_turns = [&](int64_t, int64_t) {
    for (size_t at = next.fetch_add(most); at < inputs.size(); at = next.fetch_add(most)) {
      const size_t count = std::min(most, inputs.size() - at);
      std::vector<RewardResult> batch = reward.score_batch(inputs.subspan(at, count));
      std::move(batch.begin(), batch.end(), results.begin() + static_cast<std::ptrdiff_t>(at));
    }
  };
  const int64_t threads = std::min<int64_t>(pool.size(), static_cast<int64_t>(inputs.size()));
  pool.parallel_for(threads, 1, take_turns);
  reward.score_waiting(inputs, results);
  return results;
}

}  // namespace temper
