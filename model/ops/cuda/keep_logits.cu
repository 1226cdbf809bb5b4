#include "model/ops/cuda/keep_logits.h"
#include "model/ops/cuda/kernel.h"

namespace temper::cuda {
namespace {

// One block a row: each thread fills the gap before the ids that are its own; ids ascend.
__global__ void keep_kernel(Rows<float> logits, const int32_t* begin, const int32_t* ids) {
  const int32_t first = begin[blockIdx.x], count = begin[blockIdx.x + 1] - first;
  if (count == 0) return;
  float* row = logits.row(blockIdx.x);
  for (int64_t v = threadIdx.x; v < logits.cols; v += blockDim.x) {
    // The last kept id that is not above v.
    int32_t low = 0, high = count;
    while (low < high) {
      const int32_t middle = (low + high) / 2;
      if (ids[first + middle] <= v) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    if (low == 0 || ids[first + low - 1] != v) row[v] = -1e30F;
  }
}

}  // namespace

void keep_logits(Context& ctx, Tensor logits, Tensor begin, Tensor ids) {
  if (logits.empty()) return;
  keep_kernel<<<static_cast<unsigned>(logits.rows()), 256, 0, stream_of(ctx)>>>(
      rows_of<float>(logits), data_of<int32_t>(begin), data_of<int32_t>(ids));
  check_launch();
}

}  // namespace temper::cuda
