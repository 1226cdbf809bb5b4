// What the kernels of a step read that the host knows: written into one piece of host memory, and
// brought to the device in one copy, always to the same addresses for the same sizes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/queue.h"
#include "core/tensor.h"

namespace temper {

class StepInputs {
 public:
  // `slots` steps may be under way at a time, each with host memory of its own.
  StepInputs(Context& ctx, size_t slots) : ctx_(ctx), slots_(slots) {}

  // Makes room for steps of so many bytes; true if addresses have changed.
  bool reserve(size_t bytes);

  // Begins the inputs of a step in `slot`, whose last step is over.
  void begin(size_t slot);
  // A tensor of the device whose values send() brings there.
  Tensor tensor(DType dtype, std::initializer_list<int64_t> dims);
  // Where the host writes them.
  Tensor on_host(const Tensor& t) const;
  // A [padded] tensor of `values`, then `pad` to its end.
  Tensor ints(std::span<const int32_t> values, int64_t padded = 0, int32_t pad = 0);
  void send();

 private:
  Context& ctx_;
  std::vector<HostBuffer> slots_;
  Buffer device_;  // on the CPU the host's memory is read itself
  size_t slot_ = 0, used_ = 0;
};

}  // namespace temper
