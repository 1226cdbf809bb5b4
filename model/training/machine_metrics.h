// What a step asked of the machine: model FLOPs a second, and memory.
#pragma once

#include "core/context.h"
#include "data/store_step.h"
#include "model/config.h"

namespace temper {

// Tokens that went through the model, each with `context` tokens to attend to on average, and how
// long that took.
struct MachineWork {
  double tokens = 0.0, context = 0.0, seconds = 0.0;
};

// One step's batch, as a supervised stage trained on it.
struct BatchWork {
  int64_t samples = 0;
  int64_t targets = 0;                                // tokens that carried loss
  int64_t tokens = 0;                                 // all of them
  int64_t micro_batches = 0, micro_batch_tokens = 0;  // how many, and what one may hold
  double seconds = 0.0;
};

class MachineMetrics {
 public:
  // Of a model that computes in `dtype` on the context's device.
  MachineMetrics(const Context& ctx, const ModelConfig& config, DType dtype);

  // Adds speed/train_flops (or speed/rollout_flops), FLOPs a second, and where the device's peak is
  // known speed/train_mfu (speed/rollout_mfu), the share of it.
  void add_training(StepWriter& writer, const MachineWork& work) const;
  void add_rollout(StepWriter& writer, const MachineWork& work) const;
  // Adds batch/..., speed/train and all of the above and below: what supervised stages have alike.
  void add_batch(StepWriter& writer, const BatchWork& work) const;
  // Adds memory/host_peak and, on a GPU, memory/device_peak. Units: bytes.
  void add_memory(StepWriter& writer) const;

 private:
  void add(StepWriter& writer, const char* name, double flops, double seconds) const;

  const ModelConfig& config_;
  Device device_;
  double peak_;
};

}  // namespace temper
