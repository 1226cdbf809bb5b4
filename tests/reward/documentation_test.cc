// The examples of docs/rewards.md are what the rules do; those of rules with a model are tested in
// tests/reward/preference.
#include <map>

#include "tests/reward/code/sealed.h"
#include "tests/support/documentation_examples.h"

using namespace temper;

TEST_CASE("the examples of the documentation hold, some accepted and some rejected for each rule") {
  std::map<std::string, int> accepted, rejected;
  const RewardRegistry registry = builtin_rules();
  test::for_each_example([&](const std::string& rule, const std::string& line) {
    const std::string name = test::name_of_example(rule);
    if (name == "rm" || name == "judge") return;
    if (name != "code") test::run_example(registry, rule, line);
    const bool ok = line.find("\"status\":\"ok\"") != std::string::npos;
    ++(ok ? accepted : rejected)[name];
  });
  for (const RuleInfo& info : registry.rules()) {
    INFO(info.name);
    if (info.name == "http") continue;  // needs a server: http_rule_test.cc has one
    CHECK(accepted[info.name] >= 2);
    CHECK(rejected[info.name] >= 2);
  }
}

TEST_CASE("the examples of the documentation of the rule code hold") {
  if (test::sealed_sandbox() == nullptr) return;
  const RewardRegistry registry = builtin_rules();
  test::for_each_example([&](const std::string& rule, const std::string& line) {
    if (test::name_of_example(rule) == "code") test::run_example(registry, rule, line);
  });
}
