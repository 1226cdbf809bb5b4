// What a rule gives to answers that should pass and to answers a hacker would try.
#pragma once

#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "reward/composite.h"
#include "reward/tally.h"

namespace temper {

// The golds of a data set with what their rows hold; views as in RewardInput.
struct AuditRow {
  std::string prompt;
  std::string gold;
  const JsonValue* row = nullptr;
};

struct AuditCase {
  std::string name;      // "gold", "empty", "constant 0", ...
  std::string expected;  // "high" for the gold against itself, "low" for the rest
  int64_t samples = 0, ok = 0, unjudged = 0;
  double mean_value = 0.0;  // over the judged ones
};

// Scores every row's gold with: the gold itself in `wrapping` ("{}" stands for the answer), an
// empty completion, an empty answer, the constants 0, 1, 2, 10 and A, the commonest gold, the
// prompt echoed, the golds shuffled, the next row's gold, and "GOLD or OTHER" (rows whose other
// gold is the same text are left out of these).
std::vector<AuditCase> audit_reward(ThreadPool& pool, const CompositeReward& reward,
                                    const std::vector<AuditRow>& rows, const std::string& wrapping);

// The table of the cases as text.
std::string audit_report(const std::vector<AuditCase>& cases);

}  // namespace temper
