#include "model/ops/cuda/column_sum.h"

#include "model/ops/cuda/kernel.h"

namespace temper::cuda {
namespace {

constexpr int kColumns = 32, kLines = 8;  // threads of a block
constexpr int64_t kRowsOfBlock = 256;

// parts[chunk][j]: the sum over the chunk's rows.
template <class T>
__global__ void partial_kernel(float* parts, Rows<T> a, Rows<T> b, const float* s) {
  const int64_t j = int64_t{blockIdx.x} * kColumns + threadIdx.x;
  const int64_t first = int64_t{blockIdx.y} * kRowsOfBlock;
  const int64_t end = first + kRowsOfBlock < a.rows ? first + kRowsOfBlock : a.rows;
  float sum = 0.0F;
  if (j < a.cols) {
    for (int64_t i = first + threadIdx.y; i < end; i += kLines) {
      const float x = to_float(a.row(i)[j]);
      sum += b ? x * (to_float(b.row(i)[j]) * s[i]) : x;
    }
  }
  __shared__ float lines[kLines][kColumns];
  lines[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || j >= a.cols) return;
  for (int line = 1; line < kLines; ++line) sum += lines[line][threadIdx.x];
  parts[int64_t{blockIdx.y} * a.cols + j] = sum;
}

__global__ void finish_kernel(float* to, const float* parts, int64_t chunks, int64_t n) {
  const int64_t j = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (j >= n) return;
  float sum = 0.0F;
  for (int64_t c = 0; c < chunks; ++c) sum += parts[c * n + j];
  to[j] += sum;
}

}  // namespace

void add_column_sums(Context& ctx, Tensor to, Tensor a, Tensor b, Tensor s) {
  if (a.empty()) return;
  ArenaScope scope(ctx.scratch);
  const int64_t n = a.cols(), chunks = (a.rows() + kRowsOfBlock - 1) / kRowsOfBlock;
  const Tensor parts = ctx.scratch.tensor("column_sum.parts", DType::f32, {chunks, n});
  const dim3 grid(blocks_for(n, kColumns), static_cast<unsigned>(chunks));
  dispatch(a.dtype, [&]<class T>() {
    partial_kernel<<<grid, dim3(kColumns, kLines), 0, stream_of(ctx)>>>(
        data_of<float>(parts), rows_of<T>(a), rows_of<T>(b), data_of<float>(s));
    check_launch();
  });
  finish_kernel<<<blocks_for(n, 128), 128, 0, stream_of(ctx)>>>(data_of<float>(to),
                                                                data_of<float>(parts), chunks, n);
  check_launch();
}

}  // namespace temper::cuda
