// The examples of docs/rewards.md are what the rules do.
#include <map>
#include <sstream>

#include "core/file.h"
#include "core/json.h"
#include "reward/registry.h"
#include "reward/spec.h"
#include "tests/reward/code/sealed.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"

using namespace temper;

namespace {

std::string field(const Json& row, const char* name) {
  const JsonValue* value = find_member(row, name);
  if (value == nullptr) return "";
  return value->IsString() ? value->GetString() : to_text(*value);
}

void run_example(const std::string& rule, const std::string& line) {
  INFO(rule << ": " << line);
  const Json row = parse_json(line, "docs/rewards.md");
  const std::string prompt = field(row, "prompt"), completion = field(row, "completion");
  const std::string gold = field(row, "gold");
  const RewardComponentSpec use = parse_reward_spec(rule, "docs/rewards.md").components.at(0);
  const auto judge = builtin_rules().make(use.rule, use.parameters, "docs/rewards.md");
  const Verdict verdict =
      judge->score({.prompt = prompt, .completion = completion, .gold = gold, .row = &row});
  INFO(verdict.extracted << " " << verdict.reason);
  CHECK(std::string(name_of(verdict.status)) == field(row, "status"));
  if (const JsonValue* value = find_member(row, "value")) {
    CHECK(verdict.value == Approx(value->GetDouble()).margin(1e-9));
  }
}

}  // namespace

TEST_CASE("the examples of the documentation hold, some accepted and some rejected for each rule") {
  std::istringstream page(read_file(test::source_dir() + "/docs/rewards.md"));
  std::string line, rule;
  std::map<std::string, int> accepted, rejected;
  const bool can_seal = test::sealed_sandbox() != nullptr;
  while (std::getline(page, line)) {
    if (line.starts_with("```")) {
      rule = rule.empty() && line.starts_with("```jsonl ") ? line.substr(9) : "";
    } else if (!rule.empty()) {
      if (!rule.starts_with("code") || can_seal) run_example(rule, line);
      const bool ok = line.find("\"status\":\"ok\"") != std::string::npos;
      ++(ok ? accepted : rejected)[rule.substr(0, rule.find('('))];
    }
  }
  const RewardRegistry registry = builtin_rules();
  for (const RuleInfo& info : registry.rules()) {
    INFO(info.name);
    if (info.name == "http") continue;  // needs a server: http_rule_test.cc has one
    CHECK(accepted[info.name] >= 2);
    CHECK(rejected[info.name] >= 2);
  }
}
