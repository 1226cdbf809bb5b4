// What the first step shows of a run that cannot learn.
#pragma once

#include "grpo/group.h"
#include "grpo/trainer.h"

namespace temper {

// Looks at the first batch of a run (or of a part that goes on) and warns of each sign, with the
// mend, on the log and as an event: rewards that are equal in every group, completions that are all
// cut off.
class EarlySigns {
 public:
  explicit EarlySigns(const GrpoJob& job) : job_(job) {}

  // `batch` is judged; its groups are not compared yet.
  void look(const StepBatch& batch);

 private:
  void warn(int64_t step, const std::string& text) const;

  const GrpoJob& job_;
  bool looked_ = false;
};

}  // namespace temper
