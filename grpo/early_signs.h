// What the first steps show of a run that cannot learn.
#pragma once

#include "grpo/group.h"
#include "grpo/trainer.h"

namespace temper {

// Looks at the first batches of a run and warns once of each sign, with the mend, on the log and as
// an event: rewards that are all equal in every one of them, completions that are all cut off.
class EarlySigns {
 public:
  explicit EarlySigns(const GrpoJob& job) : job_(job) {}

  // `batch` is judged; its groups are not compared yet.
  void look(const StepBatch& batch);

 private:
  void warn(int64_t step, const std::string& text) const;

  const GrpoJob& job_;
  int64_t constant_ = 0, endless_ = 0;  // batches so far that were so, one after another
};

}  // namespace temper
