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
  const int64_t row = blockIdx.x;
  Y* to = y.row(index[row]);
  for (int64_t j = threadIdx.x; j < x.cols; j += kThreads)
    to[j] = from_float<Y>(to_float(to[j]) + to_float(x.row(row)[j]));
}

// The block of an id's first row adds all rows of that id, in order; the blocks of its later rows
// have nothing to do. Each thread keeps its columns, so no two add to one number.
template <class Y, class X>
__global__ void embedding_backward_kernel(Rows<Y> dtable, Rows<X> dy, const int32_t* ids) {
  const int64_t first = blockIdx.x, rows = dy.rows;
  const int32_t id = ids[first];
  for (int64_t begin = 0; begin < first; begin += kThreads) {
    const int64_t t = begin + threadIdx.x;
    if (__syncthreads_or(t < first && ids[t] == id)) return;
  }
  Y* to = dtable.row(id);
  __shared__ int64_t found[kThreads];
  __shared__ int warp_counts[kThreads / 32];
  for (int64_t begin = first; begin < rows; begin += kThreads) {
    // The rows of this id among the next kThreads, in order.
    const int64_t t = begin + threadIdx.x;
    const bool mine = t < rows && ids[t] == id;
    const unsigned votes = __ballot_sync(0xffffffffU, mine);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    if (lane == 0) warp_counts[warp] = __popc(votes);
    __syncthreads();
    int before = 0, count = 0;
    for (int w = 0; w < kThreads / 32; ++w) {
      if (w < warp) before += warp_counts[w];
      count += warp_counts[w];
    }
    if (mine) found[before + __popc(votes & ((1U << lane) - 1U))] = t;
    __syncthreads();
    for (int64_t j = threadIdx.x; count > 0 && j < dy.cols; j += kThreads) {
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
      scatter_kernel<<<static_cast<unsigned>(x.rows()), kThreads, 0, stream_of(ctx)>>>(
          rows_of<Y>(y), rows_of<X>(x), data_of<int32_t>(index));
    });
    check_launch();
  });
}

void embedding_backward(Context& ctx, Tensor dtable, Tensor dy, Tensor ids) {
  if (dy.empty()) return;
  dispatch(dy.dtype, [&]<class X>() {
    embedding_backward_kernel<<<static_cast<unsigned>(dy.rows()), kThreads, 0, stream_of(ctx)>>>(
        rows_of<float>(dtable), rows_of<X>(dy), data_of<int32_t>(ids));
    check_launch();
  });
}

}  // namespace temper::cuda
