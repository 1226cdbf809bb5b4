// The rule `code`: a program against its tests, run where it can do no harm and tell no lies.
#pragma once

#include "reward/code/sandbox.h"
#include "reward/registry.h"

namespace temper {

// 1 if the completion's program passes all tests of the row (with credit=share: the share of them
// that it passes). The forms of rows, the comparison and the limits are in docs/rewards.md.
// Making the rule throws UserError where this machine cannot seal programs, unless the parameter
// `sandbox` says off-i-trust-the-model.
RuleInfo code_rule();

// A sandbox, sealed or not. Throws UserError with the layer that is refused and with what can be
// done, if a program cannot be started in it.
std::unique_ptr<const Sandbox> open_code_sandbox(const SandboxOptions& options);

}  // namespace temper
