#include "rollout/step_inputs.h"

#include <algorithm>

#include "core/device.h"

namespace temper {

bool StepInputs::reserve(size_t bytes) {
  if (bytes <= slots_[0].bytes()) return false;
  synchronize(ctx_);  // steps may be reading what goes now
  for (HostBuffer& slot : slots_) slot = HostBuffer(bytes, ctx_.device);
  if (ctx_.device != Device::cpu) device_ = Buffer(bytes, ctx_.device);
  return true;
}

void StepInputs::begin(size_t slot) {
  slot_ = slot;
  used_ = 0;
}

Tensor StepInputs::tensor(DType dtype, std::initializer_list<int64_t> dims) {
  char* base =
      static_cast<char*>(ctx_.device == Device::cpu ? slots_[slot_].data() : device_.data());
  const Tensor t = make_tensor(base + used_, dtype, dims, ctx_.device);
  constexpr size_t kAlignment = 16;
  const size_t bytes = static_cast<size_t>(t.numel()) * size_of(dtype);
  used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  require(used_ <= slots_[slot_].bytes(), "a step's inputs are larger than was reserved");
  return t;
}

Tensor StepInputs::on_host(const Tensor& t) const {
  if (ctx_.device == Device::cpu) return t;
  Tensor host = t;
  host.device = Device::cpu;
  host.data = static_cast<char*>(slots_[slot_].data()) +
              (static_cast<char*>(t.data) - static_cast<char*>(device_.data()));
  return host;
}

Tensor StepInputs::ints(std::span<const int32_t> values, int64_t padded, int32_t pad) {
  const auto count = static_cast<int64_t>(values.size());
  const Tensor t = tensor(DType::i32, {std::max(count, padded)});
  int32_t* to = on_host(t).get<int32_t>();
  std::copy(values.begin(), values.end(), to);
  std::fill(to + count, to + t.numel(), pad);
  return t;
}

void StepInputs::send() {
  if (ctx_.device != Device::cpu) queue_copy(ctx_, device_.data(), slots_[slot_].data(), used_);
}

}  // namespace temper
