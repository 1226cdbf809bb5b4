// What the tests of the code judge share: a sealed sandbox, if this machine allows one.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "reward/code/sandbox.h"
#include "reward/code/warm_python.h"
#include "reward/registry.h"
#include "reward/rules/code.h"
#include "tests/support/catch.h"

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

// Python in a sealed sandbox, started for each program or forked from one that has started.
struct SealedPython {
  std::unique_ptr<const Sandbox> sandbox;  // null: skipped
  std::unique_ptr<const WarmPython> warm;

  const ProgramStarter& starter() const {
    if (warm) return *warm;
    return *sandbox;
  }
};

inline SealedPython sealed_python(bool warm) {
  SealedPython python{.sandbox = sealed_sandbox(), .warm = nullptr};
  if (!python.sandbox || !warm) return python;
  RunLimits most;
  most.cpu_seconds = 60;
  most.memory_bytes = 1LL << 30;
  most.disk_bytes = 256LL << 20;
  python.warm = std::make_unique<const WarmPython>(
      *python.sandbox, std::vector<std::string>{"/usr/bin/python3", "-S", "-s", "-B"}, most);
  return python;
}

using RuleArguments = std::map<std::string, std::string>;

// The rule `code`; null, and a line on stderr, where it refuses to start.
inline std::unique_ptr<RewardRule> sealed_rule(const RuleArguments& arguments = {}) {
  if (!sealed_sandbox()) return nullptr;
  return builtin_rules().make("code", arguments, "test");
}

// The two values of the rule's parameter `start`, one after the other: a verdict is the same.
inline std::string either_start() {
  return GENERATE(as<std::string>{}, "warm", "fresh");
}

// Judges a Python program in a fenced block.
inline Verdict judge_python(const RewardRule& rule, const std::string& program,
                            const std::string& row) {
  const Json json = parse_json(row, "row");
  const std::string completion = "Here it is:\n```python\n" + program + "\n```\n";
  return rule.score({.completion = completion, .row = &json});
}

}  // namespace temper::test
