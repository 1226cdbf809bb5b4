#include "model/ops/cuda/halves.h"

#include "model/ops/cuda/float_halves.h"
#include "model/ops/cuda/kernel.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void split_kernel(bf16* high, uint16_t* low, const float* x, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < n) split_float(x[i], high[i], low[i]);
}

__global__ void join_kernel(float* x, const bf16* high, const uint16_t* low, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < n) x[i] = join_float(high[i], low[i]);
}

}  // namespace

void split_halves(Context& ctx, const Tensor& high, const Tensor& low, const Tensor& x) {
  if (x.empty()) return;
  split_kernel<<<blocks_for(x.numel(), kThreads), kThreads, 0, stream_of(ctx)>>>(
      data_of<bf16>(high), static_cast<uint16_t*>(low.data), data_of<float>(x), x.numel());
  check_launch();
}

void join_halves(Context& ctx, const Tensor& x, const Tensor& high, const Tensor& low) {
  if (x.empty()) return;
  join_kernel<<<blocks_for(x.numel(), kThreads), kThreads, 0, stream_of(ctx)>>>(
      data_of<float>(x), data_of<bf16>(high), static_cast<uint16_t*>(low.data), x.numel());
  check_launch();
}

}  // namespace temper::cuda
