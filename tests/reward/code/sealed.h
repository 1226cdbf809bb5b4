// What the tests of the code judge share: a sealed sandbox, if this machine allows one.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/json.h"
#include "reward/code/sandbox.h"
#include "reward/registry.h"
#include "reward/rules/code.h"

namespace temper::test {

// Whether Python programs can be run; says on stderr that the test is skipped if not.
inline bool has_python() {
  if (access("/usr/bin/python3", X_OK) == 0) return true;
  std::fprintf(stderr, "skipped: no /usr/bin/python3\n");
  return false;
}

// A sealed sandbox; null, and a line on stderr that the test is skipped, where there can be none
// or no Python to run in it.
inline std::unique_ptr<const Sandbox> sealed_sandbox() {
  if (!has_python()) return nullptr;
  try {
    return open_code_sandbox({});
  } catch (const UserError& refusal) {
    std::fprintf(stderr, "skipped: %s\n", refusal.what());
    return nullptr;
  }
}

using RuleArguments = std::map<std::string, std::string>;

// The rule `code`; null, and a line on stderr, where it refuses to start.
inline std::unique_ptr<RewardRule> sealed_rule(const RuleArguments& arguments = {}) {
  if (!sealed_sandbox()) return nullptr;
  return builtin_rules().make("code", arguments, "test");
}

// Judges a Python program in a fenced block.
inline Verdict judge_python(const RewardRule& rule, const std::string& program,
                            const std::string& row) {
  const Json json = parse_json(row, "row");
  const std::string completion = "Here it is:\n```python\n" + program + "\n```\n";
  return rule.score({.completion = completion, .row = &json});
}

}  // namespace temper::test
