// Learning-rate schedules.
#pragma once

#include <cstdint>

namespace temper {

enum class ScheduleKind { constant, cosine, linear };

struct Schedule {
  ScheduleKind kind = ScheduleKind::constant;
  double peak = 1e-5;        // the learning rate after warm-up
  int64_t warmup_steps = 0;  // from peak/warmup_steps at step 0, linearly to peak
  int64_t total_steps = 0;   // where cosine and linear end
  double final_ratio = 0.0;  // of peak, at total_steps and after
};

// The learning rate of step `step`, counted from 0.
// cosine: peak * (r + (1-r) (1 + cos(pi p)) / 2), linear: peak * (1 - (1-r) p), with r =
// final_ratio and p the part of the steps after warm-up that is done.
double learning_rate(const Schedule& schedule, int64_t step);

}  // namespace temper
