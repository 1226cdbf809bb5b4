#include "model/ops/cuda/embedding.h"

#include "model/ops/cuda/elementwise.h"
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

template <class Y, class X, int N>
__global__ void scatter_kernel(Rows<Y> y, Rows<X> x, const int32_t* index) {
  follow();
  const int64_t row = blockIdx.x;
  Y* to = y.row(index[row]);
  for (int64_t j = int64_t{threadIdx.x} * N; j < x.cols; j += kThreads * N) {
    const auto own = load_pack<N>(to + j);
    const auto more = load_pack<N>(x.row(row) + j);
    Pack<Y, N> sum;
#pragma unroll
    for (int e = 0; e < N; ++e)
      sum.at[e] = from_float<Y>(to_float(own.at[e]) + to_float(more.at[e]));
    store_pack<N>(to + j, sum);
  }
}

// How often an id is asked for, and where first: `from_end` is the number of rows from its first
// one on. Both begin at 0.
struct Uses {
  int* count;
  int* from_end;
};

__global__ void count_kernel(Uses uses, const int32_t* ids, int rows, int64_t vocab) {
  follow();
  const int row = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  const int32_t id = row < rows ? ids[row] : -1;
  if (id < 0) return;
  if (id >= vocab) __trap();
  atomicAdd(uses.count + id, 1);
  atomicMax(uses.from_end + id, rows - row);
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

// to += the rows of dy that `found` names, in order. Each thread keeps its columns, so no two add
// to one number.
template <int N, class Y, class X>
__device__ void add_rows(Y* to, const Rows<X>& dy, const int* found, int count) {
  for (int64_t j = int64_t{threadIdx.x} * N; j < dy.cols; j += kThreads * N) {
    const auto own = load_pack<N>(to + j);
    float sum[N];
#pragma unroll
    for (int e = 0; e < N; ++e) sum[e] = to_float(own.at[e]);
#pragma unroll 4
    for (int i = 0; i < count; ++i) {
      const auto more = load_pack<N>(dy.row(found[i]) + j);
#pragma unroll
      for (int e = 0; e < N; ++e) sum[e] += to_float(more.at[e]);
    }
    Pack<Y, N> out;
#pragma unroll
    for (int e = 0; e < N; ++e) out.at[e] = from_float<Y>(sum[e]);
    store_pack<N>(to + j, out);
  }
}

// The block of an id's first row adds all rows of that id, in order; the blocks of its later rows
// have nothing to do.
template <class Y, class X, int N>
__global__ void __launch_bounds__(kThreads)
    embedding_backward_kernel(Rows<Y> dtable, Rows<X> dy, const int32_t* ids, Uses uses) {
  follow();
  const int64_t first = blockIdx.x, rows = dy.rows, own = int64_t{threadIdx.x} * kEach;
  const int32_t id = ids[first];
  if (id < 0 || rows - uses.from_end[id] != first) return;  // asks for none, or not the first
  Y* to = dtable.row(id);
  __shared__ int found[kStride];  // rows of this id
  __shared__ int warp_counts[kThreads / 32];
  int left = uses.count[id];
  if (left == 1) {
    if (threadIdx.x == 0) found[0] = static_cast<int>(first);
    __syncthreads();
    return add_rows<N>(to, dy, found, 1);
  }
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int64_t begin = first / kEach * kEach; left > 0; begin += kStride) {
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
    add_rows<N>(to, dy, found, count);
    left -= count;
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
      const Rows<Y> to = rows_of<Y>(y);
      const Rows<X> from = rows_of<X>(x);
      const auto kernel =
          packs(to) && packs(from) ? scatter_kernel<Y, X, 4> : scatter_kernel<Y, X, 1>;
      launch_following(ctx, kernel, {static_cast<unsigned>(x.rows()), kThreads}, to, from,
                       data_of<int32_t>(index));
    });
  });
}

void embedding_backward(Context& ctx, Tensor dtable, Tensor dy, Tensor ids) {
  if (dy.empty()) return;
  const ArenaScope scope(ctx.scratch);
  const Tensor zeros = ctx.scratch.tensor("embedding.uses", DType::i32, {2, dtable.rows()});
  cuda::fill_zero(ctx, zeros);
  const Uses uses{data_of<int32_t>(zeros), data_of<int32_t>(zeros) + dtable.rows()};
  const int32_t* id = data_of<int32_t>(ids);
  const auto rows = static_cast<unsigned>(dy.rows());
  launch_following(ctx, count_kernel, {blocks_for(rows, kThreads), kThreads}, uses, id, rows,
                   dtable.rows());
  dispatch(dy.dtype, [&]<class X>() {
    const Rows<float> to = rows_of<float>(dtable);
    const Rows<X> from = rows_of<X>(dy);
    const auto kernel = packs(to) && packs(from) ? embedding_backward_kernel<float, X, 4>
                                                 : embedding_backward_kernel<float, X, 1>;
    launch_following(ctx, kernel, {rows, kThreads}, to, from, id, uses);
  });
}

}  // namespace temper::cuda
