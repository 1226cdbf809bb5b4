#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/router.h"

namespace temper::cuda {
namespace {

__global__ void bias_kernel(float* bias, const int32_t* counts, int64_t experts, float speed) {
  int64_t sum = 0;
  for (int64_t e = 0; e < experts; ++e) sum += counts[e];
  for (int64_t e = threadIdx.x; e < experts; e += blockDim.x) {
    // The sign of mean - count, without rounding.
    const int64_t gap = sum - int64_t{counts[e]} * experts;
    bias[e] += gap > 0 ? speed : gap < 0 ? -speed : 0.0F;
  }
}

}  // namespace

void router_bias_step(Context& ctx, Tensor bias, Tensor counts, double speed) {
  bias_kernel<<<1, 128, 0, stream_of(ctx)>>>(data_of<float>(bias), data_of<int32_t>(counts),
                                             bias.numel(), static_cast<float>(speed));
  check_launch();
}

}  // namespace temper::cuda
