// The examples of docs/rewards.md: blocks "```jsonl RULE", a row with the wanted status each.
#pragma once

#include <functional>
#include <sstream>
#include <string>

#include "core/file.h"
#include "core/json.h"
#include "reward/registry.h"
#include "reward/spec.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"

namespace temper::test {

// Calls take(rule, row) for each example, rule as "name(parameter=value)".
inline void for_each_example(
    const std::function<void(const std::string&, const std::string&)>& take) {
  std::istringstream page(read_file(source_dir() + "/docs/rewards.md"));
  std::string line, rule;
  while (std::getline(page, line)) {
    if (line.starts_with("```"))
      rule = rule.empty() && line.starts_with("```jsonl ") ? line.substr(9) : "";
    else if (!rule.empty())
      take(rule, line);
  }
}

inline std::string name_of_example(const std::string& rule) {
  return rule.substr(0, rule.find('('));
}

// The row's status and value are what the rule gives.
inline void run_example(const RewardRegistry& rules, const std::string& rule,
                        const std::string& line) {
  INFO(rule << ": " << line);
  const Json row = parse_json(line, "docs/rewards.md");
  const auto field = [&](const char* name) -> std::string {
    const JsonValue* value = find_member(row, name);
    if (value == nullptr) return "";
    return value->IsString() ? value->GetString() : to_text(*value);
  };
  const std::string prompt = field("prompt"), completion = field("completion");
  const std::string gold = field("gold");
  const RewardComponentSpec use = parse_reward_spec(rule, "docs/rewards.md").components.at(0);
  const auto judge = rules.make(use.rule, use.parameters, "docs/rewards.md");
  const Verdict verdict =
      judge->score({.prompt = prompt, .completion = completion, .gold = gold, .row = &row});
  INFO(verdict.extracted << " " << verdict.reason);
  CHECK(std::string(name_of(verdict.status)) == field("status"));
  if (const JsonValue* value = find_member(row, "value"))
    CHECK(verdict.value == Approx(value->GetDouble()).margin(1e-9));
}

}  // namespace temper::test
