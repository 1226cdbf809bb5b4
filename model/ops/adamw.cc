#include "model/ops/adamw.h"

#include "model/ops/check.h"
#include "model/ops/cpu/adamw.h"
#include "model/ops/cuda/adamw.h"

namespace temper {

void adamw_step(Context& ctx, const AdamWTensors& tensors, const AdamWParams& params) {
  const auto& [weights, m, v, grad, low, squares] = tensors;
  check_alike({weights, grad});
  check_alike({m, v});
  require(m.dtype == grad.dtype || m.dtype == DType::bf16, "adamw: moments of another dtype");
  for (const Tensor& t : {m, v, grad}) check_rows_cols(t, weights.rows(), weights.cols(), "adamw");
  for (const Tensor& t : {weights, m, v, grad}) require(t.contiguous(), "adamw: a strided tensor");
  const bool halved = stat_dtype(weights.dtype) != weights.dtype;
  require(halved == (low.data != nullptr),
          "adamw: 16-bit weights have other halves, wide ones none");
  if (halved) {
    require(low.dtype == DType::u8 && weights.device == Device::cuda && low.device == Device::cuda,
            "adamw: halves of weights are bytes and on the GPU");
    require(low.numel() == 2 * weights.numel() && low.contiguous(),
            "adamw: the other halves' shape");
  }
  if (squares.data != nullptr)
    require(squares.dtype == DType::f64 && squares.device == weights.device && squares.numel() == 1,
            "adamw: the sum of squares is one f64 number where the weights are");
  require(params.step >= 1, "adamw: steps count from 1");
  switch (weights.device) {
    case Device::cpu:
      return cpu::adamw_step(ctx, tensors, params);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::adamw_step(ctx, tensors, params);
      no_backend();
  }
}

}  // namespace temper
