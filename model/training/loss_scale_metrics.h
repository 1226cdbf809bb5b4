// What the loss's factor did, for the run's database.
#pragma once

#include "data/store_step.h"
#include "model/training/train_step.h"

namespace temper {

// Adds train/loss_scale, which the last update's gradients carried, and train/skipped_updates, the
// run's updates that it made overflow. Nothing where gradients are not scaled.
inline void add_loss_scale(StepWriter& writer, const StepReport& report) {
  if (report.loss_scale == 0.0) return;
  writer.add_metric("train/loss_scale", report.loss_scale);
  writer.add_metric("train/skipped_updates", static_cast<double>(report.skipped_updates));
}

}  // namespace temper
