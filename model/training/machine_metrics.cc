#include "model/training/machine_metrics.h"

#include <sys/resource.h>

#include <algorithm>

#include "core/device.h"
#include "model/training/flops.h"

namespace temper {
namespace {

// The largest resident set of the process so far. Units: bytes.
double host_peak() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return static_cast<double>(use.ru_maxrss) * 1024.0;  // Linux counts in KiB
}

// What all processes have taken of the GPU: Temper gives nothing back while it runs.
double device_peak() {
  const GpuInfo gpu = gpu_info();
  return static_cast<double>(gpu.memory_bytes - gpu.memory_free);
}

}  // namespace

MachineMetrics::MachineMetrics(const Context& ctx, const ModelConfig& config, DType dtype)
    : config_(config), device_(ctx.device), peak_(peak_flops(ctx.device, dtype)) {}

void MachineMetrics::add(StepWriter& writer, const char* name, double flops, double seconds) const {
  const double speed = seconds > 0.0 ? flops / seconds : 0.0;
  const std::string prefix = std::string("speed/") + name;
  writer.add_metric(prefix + "_flops", speed);
  if (peak_ > 0.0) writer.add_metric(prefix + "_mfu", speed / peak_);
}

void MachineMetrics::add_training(StepWriter& writer, const MachineWork& work) const {
  add(writer, "train", work.tokens * training_flops(config_, work.context), work.seconds);
}

void MachineMetrics::add_rollout(StepWriter& writer, const MachineWork& work) const {
  add(writer, "rollout", work.tokens * forward_flops(config_, work.context), work.seconds);
}

void MachineMetrics::add_batch(StepWriter& writer, const BatchWork& work) const {
  const auto tokens = static_cast<double>(work.tokens), n = static_cast<double>(work.samples);
  const double packed = tokens / static_cast<double>(std::max<int64_t>(1, work.micro_batches));
  writer.add_metric("batch/samples", n);
  writer.add_metric("batch/targets", static_cast<double>(work.targets));
  writer.add_metric("batch/micro_batches", static_cast<double>(work.micro_batches));
  writer.add_metric("batch/packed_tokens", packed);
  writer.add_metric("batch/fill", packed / static_cast<double>(work.micro_batch_tokens));
  writer.add_metric("speed/train", tokens / std::max(1e-9, work.seconds));
  add_training(writer, {tokens, tokens / (2.0 * std::max(1.0, n)), work.seconds});
  add_memory(writer);
}

void MachineMetrics::add_memory(StepWriter& writer) const {
  writer.add_metric("memory/host_peak", host_peak());
  if (device_ == Device::cuda) writer.add_metric("memory/device_peak", device_peak());
}

}  // namespace temper
