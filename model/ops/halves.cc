#include "model/ops/halves.h"

#include "model/ops/check.h"
#include "model/ops/cpu/halves.h"
#include "model/ops/cuda/halves.h"

namespace temper {
namespace {

void check_halves(const Tensor& x, const Tensor& high, const Tensor& low) {
  require(x.dtype == DType::f32 && low.dtype == DType::u8 &&
              (high.dtype == DType::bf16 || high.dtype == DType::f16),
          "halves: f32 numbers have a bf16 or f16 and two bytes");
  for (const Tensor& t : {x, high, low})
    require(t.contiguous() && t.device == x.device, "halves: a strided tensor, or two devices");
  check_shape(high, {x.numel()}, "halves: high");
  check_shape(low, {x.numel(), 2}, "halves: low");
}

}  // namespace

void split_halves(Context& ctx, Tensor high, Tensor low, Tensor x) {
  check_halves(x, high, low);
  switch (x.device) {
    case Device::cpu:
      return cpu::split_halves(ctx, high, low, x);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::split_halves(ctx, high, low, x);
      no_backend();
  }
}

void join_halves(Context& ctx, Tensor x, Tensor high, Tensor low) {
  check_halves(x, high, low);
  switch (x.device) {
    case Device::cpu:
      return cpu::join_halves(ctx, x, high, low);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::join_halves(ctx, x, high, low);
      no_backend();
  }
}

}  // namespace temper
