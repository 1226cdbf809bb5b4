#include "model/ops/cuda/halves.h"

#include "model/ops/cuda/float_halves.h"
#include "model/ops/cuda/narrow.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void split_kernel(T* high, uint16_t* low, const float* x, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < n) split_float(x[i], high[i], low[i]);
}

template <class T>
__global__ void join_kernel(float* x, const T* high, const uint16_t* low, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < n) x[i] = join_float(high[i], low[i]);
}

}  // namespace

void split_halves(Context& ctx, const Tensor& high, const Tensor& low, const Tensor& x) {
  if (x.empty()) return;
  dispatch_narrow(high.dtype, [&]<class T>() {
    split_kernel<<<blocks_for(x.numel(), kThreads), kThreads, 0, stream_of(ctx)>>>(
        data_of<T>(high), static_cast<uint16_t*>(low.data), data_of<float>(x), x.numel());
    check_launch();
  });
}

void join_halves(Context& ctx, const Tensor& x, const Tensor& high, const Tensor& low) {
  if (x.empty()) return;
  dispatch_narrow(high.dtype, [&]<class T>() {
    join_kernel<<<blocks_for(x.numel(), kThreads), kThreads, 0, stream_of(ctx)>>>(
        data_of<float>(x), static_cast<const T*>(data_of<T>(high)),
        static_cast<uint16_t*>(low.data), x.numel());
    check_launch();
  });
}

}  // namespace temper::cuda
