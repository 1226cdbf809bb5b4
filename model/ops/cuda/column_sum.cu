#include "model/ops/cuda/column_sum.h"

#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"

namespace temper::cuda {
namespace {

constexpr int kColumns = 32, kLines = 8;  // threads of a block
constexpr int64_t kRowsOfBlock = 256;

// The sum of the block's lines for each of its columns, in order; line 0 gets it.
template <int kCount>
__device__ float sum_lines(float own) {
  __shared__ float lines[kCount][kColumns];
  lines[threadIdx.y][threadIdx.x] = own;
  __syncthreads();
  if (threadIdx.y == 0)
    for (int line = 1; line < kCount; ++line) own += lines[line][threadIdx.x];
  return own;
}

// parts[chunk][j]: the sum over the chunk's rows.
template <class T>
__global__ void partial_kernel(float* parts, Rows<T> a) {
  follow();
  const int64_t j = int64_t{blockIdx.x} * kColumns + threadIdx.x;
  const int64_t first = int64_t{blockIdx.y} * kRowsOfBlock;
  const int64_t end = first + kRowsOfBlock < a.rows ? first + kRowsOfBlock : a.rows;
  float sum = 0.0F;
  if (j < a.cols)
    for (int64_t i = first + threadIdx.y; i < end; i += kLines) sum += to_float(a.row(i)[j]);
  sum = sum_lines<kLines>(sum);
  if (threadIdx.y == 0 && j < a.cols) parts[int64_t{blockIdx.y} * a.cols + j] = sum;
}

__global__ void finish_kernel(float* to, bool fresh, const float* parts, int64_t chunks,
                              int64_t n) {
  follow();
  const int64_t j = int64_t{blockIdx.x} * kColumns + threadIdx.x;
  float sum = 0.0F;
  if (j < n)
    for (int64_t c = threadIdx.y; c < chunks; c += kColumns) sum += parts[c * n + j];
  sum = sum_lines<kColumns>(sum);
  if (threadIdx.y == 0 && j < n) to[j] = fresh ? sum : to[j] + sum;
}

}  // namespace

void sum_parts(Context& ctx, const Grad& to, Tensor parts) {
  launch_following(ctx, finish_kernel,
                   {blocks_for(parts.cols(), kColumns), dim3(kColumns, kColumns)},
                   data_of<float>(to), to.fresh, data_of<float>(parts), parts.rows(), parts.cols());
}

void column_sums(Context& ctx, const Grad& to, Tensor a) {
  ArenaScope scope(ctx.scratch);
  const int64_t n = a.cols(), chunks = (a.rows() + kRowsOfBlock - 1) / kRowsOfBlock;
  const Tensor parts = ctx.scratch.tensor("column_sum.parts", DType::f32, {chunks, n});
  const dim3 grid(blocks_for(n, kColumns), static_cast<unsigned>(chunks));
  dispatch(a.dtype, [&]<class T>() {
    launch_following(ctx, partial_kernel<T>, {grid, dim3(kColumns, kLines)}, data_of<float>(parts),
                     rows_of<T>(a));
  });
  sum_parts(ctx, to, parts);
}

}  // namespace temper::cuda
