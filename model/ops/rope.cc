#include "model/ops/rope.h"

#include "model/ops/check.h"
#include "model/ops/cpu/rope.h"
#include "model/ops/cuda/rope.h"

namespace temper {
namespace {

void check_rotation(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  check_alike({x, cos, sin});
  require(x.rank == 2 || x.rank == 3, "rope: x is [T, H, D] or [T, D]");
  require(x.cols() % 2 == 0, "rope: D is odd");
  check_shape(cos, {x.dim(0), x.cols() / 2}, "rope: cos");
  check_shape(sin, {x.dim(0), x.cols() / 2}, "rope: sin");
}

}  // namespace

void rope_tables(Context& ctx, Tensor cos, Tensor sin, Tensor positions,
                 const RopeFrequencies& frequencies) {
  check_alike({cos, sin});
  check_i32(positions, "rope: positions");
  const int64_t half = static_cast<int64_t>(frequencies.inv_freq.size());
  check_shape(cos, {positions.numel(), half}, "rope: cos");
  check_shape(sin, {positions.numel(), half}, "rope: sin");
  switch (cos.device) {
    case Device::cpu:
      return cpu::rope_tables(ctx, cos, sin, positions, frequencies);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::rope_tables(ctx, cos, sin, positions, frequencies);
      no_backend();
  }
}

void rope_forward(Context& ctx, Tensor x, Tensor cos, Tensor sin, RopeStyle style) {
  check_rotation(x, cos, sin);
  switch (x.device) {
    case Device::cpu:
      return cpu::rope_forward(ctx, x, cos, sin, style);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::rope_forward(ctx, x, cos, sin, style);
      no_backend();
  }
}

void rope_backward(Context& ctx, Tensor dx, Tensor cos, Tensor sin, RopeStyle style) {
  check_rotation(dx, cos, sin);
  switch (dx.device) {
    case Device::cpu:
      return cpu::rope_backward(ctx, dx, cos, sin, style);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::rope_backward(ctx, dx, cos, sin, style);
      no_backend();
  }
}

}  // namespace temper
