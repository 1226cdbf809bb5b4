#include "model/ops/cuda/embedding.h"

#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128;

// One block a row. An id outside the table stops the kernel: the host checks ids where they come
// in, so this is our bug.
template <class Y, class T, int N>
__global__ void gather_kernel(Rows<Y> y, Rows<T> table, const int32_t* ids) {
  follow();
  const int64_t row = blockIdx.x;
  const int32_t id = ids[row];
  if (id < 0 || id >= table.rows) __trap();
  for (int64_t j = int64_t{threadIdx.x} * N; j < y.cols; j += kThreads * N) {
    const auto from = load_pack<N>(table.row(id) + j);
    Pack<Y, N> to;
#pragma unroll
    for (int i = 0; i < N; ++i) to.at[i] = from_float<Y>(to_float(from.at[i]));
    store_pack<N>(y.row(row) + j, to);
  }
}

template <class Y, class X>
__global__ void scatter_kernel(Rows<Y> y, Rows<X> x, const int32_t* index) {
  follow();
  const int64_t row = blockIdx.x;
  Y* to = y.row(index[row]);
  for (int64_t j = threadIdx.x; j < x.cols; j += kThreads)
    to[j] = from_float<Y>(to_float(to[j]) + to_float(x.row(row)[j]));
}

constexpr int kEach = 8, kStride = kThreads * kEach;  // ids that a thread, a block looks at at once

// Which of the thread's ids at.. are `id`, as bits, of those from `begin` to `end`. `at` is a
// multiple of kEach.
__device__ unsigned find_id(const int32_t* ids, int64_t at, int64_t begin, int64_t end,
                            int32_t id) {
  Pack<int32_t, 4> pack[kEach / 4];
  if (at >= begin && at + kEach <= end && reinterpret_cast<uint64_t>(ids) % 16 == 0) {
#pragma unroll
    for (int i = 0; i < kEach / 4; ++i) pack[i] = load_pack<4>(ids + at + 4 * i);
  } else {
#pragma unroll
    for (int i = 0; i < kEach; ++i)
      pack[i / 4].at[i % 4] = at + i >= begin && at + i < end ? ids[at + i] : -1;
  }
  unsigned found = 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i)
    if (pack[i / 4].at[i % 4] == id) found |= 1U << i;
  return found;
}

// The block of an id's first row adds all rows of that id, in order; the blocks of its later rows
// have nothing to do. Each thread keeps its columns, so no two add to one number.
template <class Y, class X>
__global__ void __launch_bounds__(kThreads)
    embedding_backward_kernel(Rows<Y> dtable, Rows<X> dy, const int32_t* ids) {
  follow();
  const int64_t first = blockIdx.x, rows = dy.rows, own = int64_t{threadIdx.x} * kEach;
  const int32_t id = ids[first];
  if (id < 0) return;  // asks for none
  for (int64_t begin = 0; begin < first; begin += kStride)
    if (__syncthreads_or(find_id(ids, begin + own, 0, first, id) != 0)) return;
  Y* to = dtable.row(id);
  __shared__ int found[kStride];  // rows of this id
  __shared__ int warp_counts[kThreads / 32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int64_t begin = first / kEach * kEach; begin < rows; begin += kStride) {
    const unsigned mine = find_id(ids, begin + own, first, rows, id);
    if (!__syncthreads_or(mine != 0)) continue;
    // Where the thread's go: after those of the threads before it.
    int upto = __popc(mine);
    for (int offset = 1; offset < 32; offset *= 2) {
      const int below = __shfl_up_sync(0xffffffffU, upto, offset);
      if (lane >= offset) upto += below;
    }
    if (lane == 31) warp_counts[warp] = upto;
    __syncthreads();
    int place = upto - __popc(mine), count = 0;
    for (int w = 0; w < kThreads / 32; ++w) {
      if (w < warp) place += warp_counts[w];
      count += warp_counts[w];
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i)
      if (mine >> i & 1) found[place++] = static_cast<int>(begin + own + i);
    __syncthreads();
    for (int64_t j = threadIdx.x; j < dy.cols; j += kThreads) {
      float sum = to_float(to[j]);
      for (int i = 0; i < count; ++i) sum += to_float(dy.row(found[i])[j]);
      to[j] = from_float<Y>(sum);
    }
    __syncthreads();
  }
}

}  // namespace

void embedding_forward(Context& ctx, Tensor y, Tensor table, Tensor ids) {
  if (y.empty()) return;
  dispatch_widening(table.dtype, y.dtype, [&]<class T, class Y>() {
    const Rows<Y> to = rows_of<Y>(y);
    const Rows<T> from = rows_of<T>(table);
    const auto blocks = static_cast<unsigned>(to.rows);
    const int32_t* id = data_of<int32_t>(ids);
    const auto kernel =
        packs(to) && packs(from) ? gather_kernel<Y, T, kWide<T>> : gather_kernel<Y, T, 1>;
    launch_following(ctx, kernel, {blocks, kThreads}, to, from, id);
  });
}

void scatter_rows_add(Context& ctx, Tensor y, Tensor x, Tensor index) {
  if (x.empty()) return;
  dispatch(x.dtype, [&]<class X>() {
    dispatch(y.dtype, [&]<class Y>() {
      launch_following(ctx, scatter_kernel<Y, X>, {static_cast<unsigned>(x.rows()), kThreads},
                       rows_of<Y>(y), rows_of<X>(x), data_of<int32_t>(index));
    });
  });
}

void embedding_backward(Context& ctx, Tensor dtable, Tensor dy, Tensor ids) {
  if (dy.empty()) return;
  dispatch(dy.dtype, [&]<class X>() {
    launch_following(ctx, embedding_backward_kernel<float, X>,
                     {static_cast<unsigned>(dy.rows()), kThreads}, rows_of<float>(dtable),
                     rows_of<X>(dy), data_of<int32_t>(ids));
  });
}

}  // namespace temper::cuda
