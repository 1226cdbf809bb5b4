// The rule `command`: a program of the user's judges.
#pragma once

#include "reward/registry.h"

namespace temper {

// Starts `run` under /bin/sh up to `workers` times and asks a free one with one JSON line; it
// answers with one (reward/verdict_json.h). A program that ends is started again and asked once
// more; a sample that it fails twice, or whose answer cannot be read, is an `error` with the end of
// its standard error. One that takes longer than `timeout` seconds is killed; the verdict is
// `late`'s. What it writes to standard error is kept as events of the run.
RuleInfo command_rule();

}  // namespace temper
