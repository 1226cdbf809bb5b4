#include "model/ops/adamw.h"

#include "model/ops/check.h"
#include "model/ops/cpu/adamw.h"
#include "model/ops/cuda/adamw.h"

namespace temper {

void adamw_step(Context& ctx, Tensor weights, Tensor m, Tensor v, Tensor grad,
                const AdamWParams& params) {
  check_alike({weights, grad});
  check_alike({m, v});
  require(m.dtype == weights.dtype || m.dtype == DType::bf16, "adamw: moments of another dtype");
  for (const Tensor& t : {m, v, grad}) check_rows_cols(t, weights.rows(), weights.cols(), "adamw");
  for (const Tensor& t : {weights, m, v, grad}) require(t.contiguous(), "adamw: a strided tensor");
  require(params.step >= 1, "adamw: steps count from 1");
  switch (weights.device) {
    case Device::cpu:
      return cpu::adamw_step(ctx, weights, m, v, grad, params);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::adamw_step(ctx, weights, m, v, grad, params);
      no_backend();
  }
}

}  // namespace temper
