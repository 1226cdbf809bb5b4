#include "tests/model/ops/cuda/slow_copy.h"

#include "model/ops/cuda/following.h"

namespace temper::test {
namespace {

constexpr int kThreads = 1024;
constexpr uint64_t kNanoseconds = 500000;

__device__ uint64_t now() {
  uint64_t time;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return time;
}

__global__ void slow_copy_kernel(unsigned char* to, const unsigned char* from, int64_t bytes) {
  cuda::follow();
  for (const uint64_t start = now(); now() - start < kNanoseconds;) continue;
  for (int64_t i = threadIdx.x; i < bytes; i += kThreads) to[i] = from[i];
}

}  // namespace

void slow_copy(Context& ctx, Tensor to, Tensor from) {
  require(
      to.contiguous() && from.contiguous() && to.dtype == from.dtype && to.numel() == from.numel(),
      "slow_copy: other sizes");
  cuda::launch_following(ctx, slow_copy_kernel, {1, kThreads}, static_cast<unsigned char*>(to.data),
                         static_cast<const unsigned char*>(from.data),
                         from.numel() * static_cast<int64_t>(size_of(from.dtype)));
}

}  // namespace temper::test
