#include "model/ops/cuda/grouped_few.h"

#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/mma.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128, kCols = 64;  // a warp takes 16 columns of y, which are rows of w
constexpr int kStep = 64, kStages = 4;     // of the inner dimension
constexpr int64_t kMostRows = 12;          // an expert, on average; at 32 Hopper's own is faster

using Weights = SharedTile<Narrow, kCols, kStep>;
template <int kRows>
using Inputs = SharedTile<Narrow, kRows, kStep>;
template <int kRows>
constexpr int kStageSize = Weights::kSize + Inputs<kRows>::kSize;

struct Few {
  Rows<Narrow> y, x;
  const Narrow* w;  // [E, n, k]
  int n, k;
  const int32_t* offsets;
};

// Queues one step's columns of 64 rows of w and of `count` rows of x.
template <int kRows>
__device__ void load(Narrow* stage, const Few& f, const Narrow* weights, int cols, int64_t row,
                     int count, int at) {
  constexpr int kPacks = kStep / 8;
  for (int i = threadIdx.x; i < (kCols + kRows) * kPacks; i += kThreads) {
    const int r = i / kPacks, k = at + i % kPacks * 8, inner = r - kCols;
    Narrow* to = stage + r * Weights::kPitch + i % kPacks * 8;  // both tiles have one pitch
    if (inner < 0) {
      copy_later(to, weights + int64_t{r} * f.k + k, r < cols && k < f.k);
    } else if (inner < (count + 15) / 16 * 16) {
      copy_later(to, f.x.row(row + (inner < count ? inner : 0)) + k, inner < count && k < f.k);
    }
  }
  end_copy_group();
}

template <int kRows>
__device__ void multiply_stage(float (&sum)[kRows / 8][4], Narrow* stage, int count) {
  const Weights weights{stage};
  const Inputs<kRows> inputs{stage + Weights::kSize};
  const int warp = threadIdx.x / 32;
#pragma unroll
  for (int k = 0; k < kStep; k += 16) {
    const FragmentA a = weights.left(warp * 16, k);
#pragma unroll
    for (int t = 0; t < kRows / 16; ++t) {
      if (t * 16 >= count) break;
      multiply<Narrow>(sum[2 * t], sum[2 * t + 1], a, inputs.right_transposed(t * 16, k));
    }
  }
}

// A block takes 64 columns of one expert, kRows of its rows at a time.
template <int kRows>
__global__ void __launch_bounds__(kThreads) few_kernel(Few f) {
  extern __shared__ __align__(16) Narrow memory[];
  const int64_t group = blockIdx.y, begin = f.offsets[group];
  const int all = static_cast<int>(f.offsets[group + 1] - begin);
  const int col = static_cast<int>(blockIdx.x) * kCols, cols = min(kCols, f.n - col);
  const Narrow* weights = f.w + (group * f.n + col) * f.k;
  const int steps = (f.k + kStep - 1) / kStep;
  for (int first = 0; first < all; first += kRows) {
    const int count = min(kRows, all - first);
    const auto load_step = [&](int step) {
      if (step >= steps) return end_copy_group();
      load<kRows>(memory + step % kStages * kStageSize<kRows>, f, weights, cols, begin + first,
                  count, step * kStep);
    };
    float sum[kRows / 8][4] = {};
    for (int s = 0; s < kStages - 1; ++s) load_step(s);
    for (int step = 0; step < steps; ++step) {
      wait_copies<kStages - 2>();
      __syncthreads();  // it has arrived, and the stage before is free
      load_step(step + kStages - 1);
      multiply_stage<kRows>(sum, memory + step % kStages * kStageSize<kRows>, count);
    }
    __syncthreads();
    const int lane = threadIdx.x % 32, own = static_cast<int>(threadIdx.x) / 32 * 16 + lane / 4;
#pragma unroll
    for (int t = 0; t < kRows / 8; ++t)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = t * 8 + lane % 4 * 2 + i % 2, at = own + i / 2 * 8;
        if (row < count && at < cols)
          f.y.row(begin + first + row)[col + at] = from_float<Narrow>(sum[t][i]);
      }
  }
}

template <int kRows>
void launch(Context& ctx, const Few& f, unsigned groups) {
  constexpr int bytes = kStages * kStageSize<kRows> * static_cast<int>(sizeof(Narrow));
  check(
      cudaFuncSetAttribute(few_kernel<kRows>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  const dim3 grid(blocks_for(f.n, kCols), groups);
  few_kernel<kRows><<<grid, kThreads, bytes, stream_of(ctx)>>>(f);
  check_launch();
}

}  // namespace

template <>
bool grouped_forward_few_of<kNarrow>(Context& ctx, const Tensor& y, const Tensor& x,
                                     const Tensor& w, const Tensor& offsets) {
  const int64_t groups = w.dim(0), n = w.dim(1), k = w.dim(2);
  const bool narrow = y.dtype == kNarrow && x.dtype == kNarrow && w.dtype == kNarrow;
  if (!narrow || x.rows() > kMostRows * groups || w.row_stride != k || groups > 65535) return false;
  const Few f{rows_of<Narrow>(y),  rows_of<Narrow>(x),  data_of<Narrow>(w),
              static_cast<int>(n), static_cast<int>(k), data_of<int32_t>(offsets)};
  if (!packs(f.x) || !packs(rows_of<Narrow>(w))) return false;
  launch<32>(ctx, f, static_cast<unsigned>(groups));
  return true;
}

}  // namespace temper::cuda
