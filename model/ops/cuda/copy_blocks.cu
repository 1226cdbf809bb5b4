#include "model/ops/cuda/copy_blocks.h"

#include "model/ops/cuda/kernel.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 256;

// A block of threads copies one cache block of one layer, `units` of Unit each.
template <class Unit>
__global__ void copy_kernel(Unit* pool, const int32_t* pairs, int64_t blocks, int64_t units) {
  Unit* layer = pool + int64_t{blockIdx.y} * blocks * units;
  const int32_t from = pairs[2 * blockIdx.x], to = pairs[2 * blockIdx.x + 1];
  if (from < 0 || from >= blocks || to < 0 || to >= blocks) __trap();  // outside the cache
  for (int64_t i = threadIdx.x; i < units; i += kThreads)
    layer[to * units + i] = layer[from * units + i];
}

}  // namespace

void copy_blocks(Context& ctx, Tensor pool, Tensor pairs) {
  if (pairs.rows() == 0 || pool.empty()) return;
  require(pool.device == Device::cuda && pairs.device == Device::cuda, "copy_blocks: host memory");
  const int64_t bytes = pool.cols() * static_cast<int64_t>(size_of(pool.dtype));
  const dim3 grid(static_cast<unsigned>(pairs.rows()), static_cast<unsigned>(pool.dim(0)));
  const auto launch = [&]<class Unit>(Unit*) {
    copy_kernel<<<grid, kThreads, 0, stream_of(ctx)>>>(static_cast<Unit*>(pool.data),
                                                       data_of<int32_t>(pairs), pool.dim(1),
                                                       bytes / static_cast<int64_t>(sizeof(Unit)));
    check_launch();
  };
  const bool wide = bytes % 16 == 0 && reinterpret_cast<uintptr_t>(pool.data) % 16 == 0;
  wide ? launch(static_cast<uint4*>(nullptr)) : launch(static_cast<uint16_t*>(nullptr));
}

}  // namespace temper::cuda
