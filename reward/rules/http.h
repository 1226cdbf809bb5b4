// The rule `http`: a server judges.
#pragma once

#include "reward/registry.h"

namespace temper {

// Posts {"samples":[...]} with up to `batch` completions to `url`, each as `command` has it, and
// reads a list of as many verdicts, or {"verdicts":[...]} (reward/verdict_json.h). No connection,
// time-outs and the statuses 408, 429 and 5xx are tried again up to `retries` times, after a wait
// that begins with `backoff` seconds and doubles. What fails at the end is an `error`.
RuleInfo http_rule();

}  // namespace temper
