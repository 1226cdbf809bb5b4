#include "model/training/expert_loads.h"

#include <algorithm>
#include <cstring>

#include "model/ops/elementwise.h"

namespace temper {

ExpertLoads::ExpertLoads(Device device, int64_t layers, int64_t experts)
    : counts_(allocate(DType::i32, {layers, std::max<int64_t>(1, experts)}, device)),
      balance_(allocate(DType::f64, {1}, device)),
      bytes_(static_cast<size_t>(counts_.view.numel() + 1) / 2 * 2 * sizeof(int32_t)),
      here_(device) {
  host_ = HostBuffer(bytes_ + sizeof(double), device);
}

void ExpertLoads::clear(Context& ctx) {
  fill_zero(ctx, counts_.view);
  fill_zero(ctx, balance_.view);
}

void ExpertLoads::send(Context& ctx) {
  auto* to = static_cast<char*>(host_.data());
  queue_copy(ctx, to, counts_.view.data,
             static_cast<size_t>(counts_.view.numel()) * sizeof(int32_t));
  queue_copy(ctx, to + bytes_, balance_.view.data, sizeof(double));
  here_.set(ctx);
}

std::vector<std::vector<int64_t>> ExpertLoads::layers() {
  here_.wait();
  const auto* counts = static_cast<const int32_t*>(host_.data());
  const int64_t experts = counts_.view.cols();
  std::vector<std::vector<int64_t>> layers;
  for (int64_t i = 0; i < counts_.view.rows(); ++i)
    layers.emplace_back(counts + i * experts, counts + (i + 1) * experts);
  return layers;
}

double ExpertLoads::balance_sum() {
  here_.wait();
  double sum = 0.0;
  std::memcpy(&sum, static_cast<const char*>(host_.data()) + bytes_, sizeof sum);
  return sum;
}

}  // namespace temper
