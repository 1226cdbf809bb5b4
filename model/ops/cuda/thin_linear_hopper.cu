// thin_linear_hopper.h. A block takes 32 columns of the result and the whole inner dimension: its
// weights are in shared memory when the rows come, and 64 rows by 32 columns are one warpgroup's.
#include "model/ops/cuda/thin_linear_hopper.h"

#include "model/ops/cuda/bulk_copy.h"
#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/early.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/tensor_map.h"
#include "model/ops/cuda/wgmma.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128, kRows = 64, kCols = 32, kStep = kLine;
constexpr int kRowBytes = kRows * kStep * 2, kWeightBytes = kCols * kStep * 2;  // of a step
constexpr int kMostSteps = 18;  // what shared memory holds

struct Thin {
  Narrow* narrow;  // one of the two is the result
  float* wide;
  int64_t stride, batch_stride;
  int rows, steps;
  bool add, early;
};

constexpr int bytes_of(int steps) {
  return steps * (kRowBytes + kWeightBytes) + 1024;
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

// The thread's numbers: rows 16 w + g + 8 h, columns 8 j + 2 c + (0, 1).
template <class Body>
__device__ void for_pairs(const Thin& t, Body&& body) {
  const int lane = threadIdx.x % 32, first = threadIdx.x / 32 * 16 + lane / 4;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = first + 8 * h;
    if (row >= t.rows) continue;
    const int64_t at =
        row * t.stride + blockIdx.y * t.batch_stride + int64_t{blockIdx.x} * kCols + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < kCols / 8; ++j) body(at + 8 * j, 4 * j + 2 * h);
  }
}

#endif

__global__ void __launch_bounds__(kThreads, 1)
    thin_linear(const __grid_constant__ CUtensorMap x, const __grid_constant__ CUtensorMap w,
                const Thin t) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ unsigned char raw[];
  __shared__ uint64_t full[kMostSteps];
  unsigned char* memory = aligned_memory(raw);
  unsigned char* weights = memory + t.steps * kRowBytes;
  const auto load_weights = [&] {
    for (int s = 0; s < t.steps; ++s)
      load_box(weights + s * kWeightBytes, w, &full[s], s * kStep, blockIdx.x * kCols, blockIdx.y);
  };
  if (threadIdx.x == 0) {
    prefetch_map(x);
    for (int s = 0; s < t.steps; ++s) init_barrier(&full[s], 1);
    publish_barriers();
    for (int s = 0; s < t.steps; ++s) arrive_expecting(&full[s], kRowBytes + kWeightBytes);
    if (t.early) load_weights();
  }
  follow();
  if (threadIdx.x == 0) {
    if (!t.early) load_weights();
    for (int s = 0; s < t.steps; ++s)
      load_box(memory + s * kRowBytes, x, &full[s], s * kStep, 0, blockIdx.y);
  }
  __syncthreads();
  float before[kCols / 2] = {}, d[kCols / 2];
  if (t.add)
    for_pairs(t, [&](int64_t at, int i) {
      if (t.wide != nullptr) {
        const float2 pair = *reinterpret_cast<const float2*>(t.wide + at);
        before[i] = pair.x, before[i + 1] = pair.y;
      } else {
        before[i] = to_float(t.narrow[at]), before[i + 1] = to_float(t.narrow[at + 1]);
      }
    });
  for (int s = 0; s < t.steps; ++s) {
    wait(&full[s], 0);
    const uint64_t a = operand<false>(memory + s * kRowBytes);
    const uint64_t b = operand<false>(weights + s * kWeightBytes);
    begin_products();
#pragma unroll
    for (int k = 0; k < kStep / 16; ++k)
      multiply_64<Narrow, false, false>(d, a + k * kNext16<false>, b + k * kNext16<false>,
                                        s + k > 0);
    end_products();
  }
  wait_products<0>();
  for_pairs(t, [&](int64_t at, int i) {
    const float first = before[i] + d[i], second = before[i + 1] + d[i + 1];
    if (t.wide != nullptr) {
      *reinterpret_cast<float2*>(t.wide + at) = make_float2(first, second);
    } else {
      *reinterpret_cast<unsigned*>(t.narrow + at) = pack_pair<Narrow>(first, second);
    }
  });
#endif
}

bool aligned(const Operand& o) {
  const auto unit = static_cast<int64_t>(size_of(o.dtype));
  return reinterpret_cast<uintptr_t>(o.data) % 16 == 0 && o.stride * unit % 16 == 0 &&
         o.batch_stride * unit % 16 == 0;
}

// Boxes of `lines` rows of one of a batch, 64 numbers each.
CUtensorMap boxes_of(const Operand& o, int64_t batch, int lines) {
  return tensor_map(o.data, o.dtype, {o.cols, o.rows, batch},
                    {o.stride * 2, (batch > 1 ? o.batch_stride : o.rows * o.stride) * 2},
                    {kLine, lines, 1}, true);
}

}  // namespace

template <>
bool thin_linear_hopper_of<kNarrow>(Context& ctx, const Operand& c, const Operand& a,
                                    const Operand& b, bool add, int64_t batch) {
  const auto steps = static_cast<int>(blocks_for(a.cols, kStep));
  const cudaDeviceProp& card = runtime_of(ctx).properties;
  if (card.major != 9 || a.transposed || !b.transposed || c.rows > kRows || a.dtype != kNarrow ||
      b.dtype != kNarrow || steps > kMostSteps || c.cols % kCols != 0 || !aligned(a) ||
      !aligned(b) || !aligned(c) || c.cols / kCols * batch > card.multiProcessorCount)
    return false;
  const Thin t{c.dtype == kNarrow ? static_cast<Narrow*>(c.data) : nullptr,
               c.dtype == DType::f32 ? static_cast<float*>(c.data) : nullptr,
               c.stride,
               c.batch_stride,
               static_cast<int>(c.rows),
               steps,
               add,
               is_recording(ctx)};
  const int bytes = bytes_of(steps);
  check(cudaFuncSetAttribute(thin_linear, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             bytes_of(kMostSteps)));
  share_multiprocessor(thin_linear);
  const dim3 grid(static_cast<unsigned>(c.cols / kCols), static_cast<unsigned>(batch));
  launch_following(ctx, thin_linear, {grid, kThreads, static_cast<size_t>(bytes)},
                   boxes_of(a, batch, kRows), boxes_of(b, batch, kCols), t);
  return true;
}

}  // namespace temper::cuda
