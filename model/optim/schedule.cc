#include "model/optim/schedule.h"

#include <algorithm>
#include <cmath>

namespace temper {

double learning_rate(const Schedule& s, int64_t step) {
  if (step < s.warmup_steps)
    return s.peak * static_cast<double>(step + 1) / static_cast<double>(s.warmup_steps);
  if (s.kind == ScheduleKind::constant) return s.peak;
  const double after = static_cast<double>(std::max<int64_t>(1, s.total_steps - s.warmup_steps));
  const double part = std::clamp(static_cast<double>(step - s.warmup_steps) / after, 0.0, 1.0);
  const double left =
      s.kind == ScheduleKind::cosine ? 0.5 * (1.0 + std::cos(M_PI * part)) : 1.0 - part;
  return s.peak * (s.final_ratio + (1.0 - s.final_ratio) * left);
}

}  // namespace temper
