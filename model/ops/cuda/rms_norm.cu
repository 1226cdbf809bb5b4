#include "model/ops/cuda/rms_norm.h"

#include <algorithm>

#include "model/ops/cuda/column_sum.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kMostThreads = 512;
constexpr int kWarpRows = 8;         // rows that a block of warps takes at a time
constexpr int64_t kManyRows = 2048;  // from here on they do; fewer rows get a block each

template <class Y, class X>
struct Forward {
  Rows<Y> y, kept;  // kept: x rounded; null: not wanted
  float* rstd;
  Rows<X> x;
  const Y* w;
  float eps;
};

// y and the rounded x of one pack.
template <class Y, class X, int N>
__device__ void put_normed(const Forward<Y, X>& f, int64_t row, int64_t j, const Pack<X, N>& x,
                           float r) {
  const auto g = load_pack<N>(f.w + j);
  Pack<Y, N> out, kept;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    out.at[i] = from_float<Y>(to_float(x.at[i]) * r * to_float(g.at[i]));
    kept.at[i] = from_float<Y>(to_float(x.at[i]));
  }
  store_pack<N>(f.y.row(row) + j, out);
  if (f.kept) store_pack<N>(f.kept.row(row) + j, kept);
}

// One warp a row, which stays in registers: kPacks packs of N neighbours a lane.
template <class Y, class X, int N, int kPacks>
__global__ void __launch_bounds__(kWarpRows * 32) forward_rows(Forward<Y, X> f) {
  follow();
  const int64_t row = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (row >= f.x.rows) return;
  const X* from = f.x.row(row);
  const int first = threadIdx.x % 32 * N, cols = static_cast<int>(f.x.cols);
  Pack<X, N> x[kPacks];
#pragma unroll
  for (int p = 0; p < kPacks; ++p)
    if (first + p * 32 * N < cols) x[p] = load_pack<N>(from + first + p * 32 * N);
  float squares = 0.0F;
#pragma unroll
  for (int p = 0; p < kPacks; ++p)
    if (first + p * 32 * N < cols)
#pragma unroll
      for (int i = 0; i < N; ++i) squares += to_float(x[p].at[i]) * to_float(x[p].at[i]);
  const float r = 1.0F / sqrtf(warp_sum(squares) / static_cast<float>(cols) + f.eps);
  if (f.rstd != nullptr && threadIdx.x % 32 == 0) f.rstd[row] = r;
#pragma unroll
  for (int p = 0; p < kPacks; ++p)
    if (first + p * 32 * N < cols) put_normed<Y, X, N>(f, row, first + p * 32 * N, x[p], r);
}

// One block a row, read twice; each thread takes packs of N neighbours.
template <class Y, class X, int N>
__global__ void forward_kernel(Forward<Y, X> f) {
  follow();
  const X* from = f.x.row(blockIdx.x);
  const int64_t step = int64_t{blockDim.x} * N, cols = f.x.cols;
  float squares = 0.0F;
  for (int64_t j = int64_t{threadIdx.x} * N; j < cols; j += step) {
    const auto p = load_pack<N>(from + j);
#pragma unroll
    for (int i = 0; i < N; ++i) squares += to_float(p.at[i]) * to_float(p.at[i]);
  }
  const float mean = block_sum(squares) / static_cast<float>(cols);
  const float r = 1.0F / sqrtf(mean + f.eps);
  if (f.rstd != nullptr && threadIdx.x == 0) f.rstd[blockIdx.x] = r;
  for (int64_t j = int64_t{threadIdx.x} * N; j < cols; j += step)
    put_normed<Y, X, N>(f, blockIdx.x, j, load_pack<N>(from + j), r);
}

template <class T>
struct Backward {
  Rows<T> dx;
  bool fresh;    // dx
  float* parts;  // [blocks, n] each block's share of dw; null: dw is not wanted
  Rows<T> dy, x;
  const T* w;
  const float* rstd;
  int64_t rows_of_block;
  Rows<T> more = {};  // rows that count in dy too, and which, or null
  Rows<int32_t> row_of = {};
};

// The sums of kCount numbers over the block, in a fixed order.
template <int kCount>
__device__ void block_sums(float (&x)[kCount]) {
  __shared__ float parts[kCount][32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
#pragma unroll
  for (int i = 0; i < kCount; ++i) x[i] = warp_sum(x[i]);
  if (warps == 1) return;
  __syncthreads();
  if (lane == 0)
#pragma unroll
    for (int i = 0; i < kCount; ++i) parts[i][warp] = x[i];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kCount; ++i) x[i] = warp_sum(lane < warps ? parts[i][lane] : 0.0F);
}

// Writes the thread's part of a block's share of dw.
template <int N, int kPacks>
__device__ void put_share(float* share, const float (&dw)[kPacks][N], int64_t n) {
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t j = (int64_t{threadIdx.x} + p * int64_t{blockDim.x}) * N;
    if (j >= n) continue;
#pragma unroll
    for (int e = 0; e < N; ++e) share[j + e] = dw[p][e];
  }
}

// A pack of the gradient: what it pulls along x, and what it held before.
template <class T, int N, class Dy>
__device__ Pack<T, N> pack_gradient(const Pack<Dy, N>& dy, const Pack<T, N>& x, const Pack<T, N>& w,
                                    float r, float pull, const Pack<T, N>& before, bool fresh) {
  Pack<T, N> out;
#pragma unroll
  for (int e = 0; e < N; ++e) {
    const float grad = r * (to_float(dy.at[e]) * to_float(w.at[e]) - to_float(x.at[e]) * pull);
    out.at[e] = from_float<T>(fresh ? grad : to_float(before.at[e]) + grad);
  }
  return out;
}

// Rows on their way to shared memory, where each lane reads what it has asked for itself, so that
// nothing waits for another thread: dy, x and dx, and kMore of the rows that count in dy too.
template <class T, int N, int kPacks, int kMore>
struct Coming {
  static constexpr int kTensors = 3 + kMore, kWarps = kMore > 0 ? 8 : 12;
  static constexpr int kStages = kMore > 0 ? 2 : 3;
  static constexpr int kBytes = kWarps * kStages * kTensors * kPacks * 32 * 16;
  const Backward<T>& b;
  Pack<T, N>* ring;  // of this lane
  int64_t row;       // to be asked for next
  int64_t step;
  int32_t chosen[kMore > 0 ? kMore : 1] = {};  // of that row

  __device__ Coming(const Backward<T>& all, unsigned char* memory)
      : b(all),
        ring(reinterpret_cast<Pack<T, N>*>(memory) +
             threadIdx.x / 32 * (kStages * kTensors * kPacks * 32) + threadIdx.x % 32),
        row(int64_t{blockIdx.x} * kWarps + threadIdx.x / 32),
        step(int64_t{gridDim.x} * kWarps) {
    find_chosen();
  }
  __device__ Pack<T, N>& at(int stage, int tensor, int pack) const {
    return ring[((stage * kTensors + tensor) * kPacks + pack) * 32];
  }
  __device__ void find_chosen() {
    if constexpr (kMore > 0) {
      if (row >= b.x.rows) return;
#pragma unroll
      for (int k = 0; k < kMore; ++k)
        if (k < b.row_of.cols) chosen[k] = b.row_of.row(row)[k];
    }
  }
  __device__ void ask(int stage, int tensor, const T* from) const {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int column = (threadIdx.x % 32 + 32 * p) * N;
      if (column < b.x.cols)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(
                         static_cast<unsigned>(__cvta_generic_to_shared(&at(stage, tensor, p)))),
                     "l"(from + column)
                     : "memory");
    }
  }
  // Asks for the next row, if there is one.
  __device__ void ask_next(int stage) {
    if (row < b.x.rows) {
      ask(stage, 0, b.dy.row(row));
      ask(stage, 1, b.x.row(row));
      if (b.dx && !b.fresh) ask(stage, 2, b.dx.row(row));
#pragma unroll
      for (int k = 0; k < kMore; ++k)
        if (k < b.row_of.cols) ask(stage, 3 + k, b.more.row(chosen[k]));
    }
    asm volatile("cp.async.commit_group;\n" ::: "memory");
    row += step;
    find_chosen();
  }
  // Waits for the row that was asked for kStages - 1 rows ago.
  __device__ void wait() const {
    asm volatile("cp.async.wait_group %0;\n" ::"n"(kStages - 1) : "memory");
  }
};

// dy of one pack with the rows that count too, in order.
template <class T, int N, int kPacks, int kMore>
__device__ Pack<float, N> dy_of(const Coming<T, N, kPacks, kMore>& coming, int stage, int64_t row,
                                int p, int column) {
  const Backward<T>& b = coming.b;
  Pack<float, N> dy;
  const auto add = [&](const Pack<T, N>& pack) {
#pragma unroll
    for (int e = 0; e < N; ++e) dy.at[e] += to_float(pack.at[e]);
  };
#pragma unroll
  for (int e = 0; e < N; ++e) dy.at[e] = to_float(coming.at(stage, 0, p).at[e]);
  if constexpr (kMore > 0) {
#pragma unroll
    for (int k = 0; k < kMore; ++k)
      if (k < b.row_of.cols) add(coming.at(stage, 3 + k, p));
    for (int64_t k = kMore; k < b.row_of.cols; ++k)
      add(load_pack<N>(b.more.row(b.row_of.row(row)[k]) + column));
  }
  return dy;
}

// A warp takes one row at a time, kPacks packs of it a lane, while the next ones are on their way;
// the block's share of dw is added up at its end.
template <class T, int N, int kPacks, int kMore>
__global__ void __launch_bounds__(Coming<T, N, kPacks, kMore>::kWarps * 32, 1)
    backward_rows(Backward<T> b) {
  using Rows = Coming<T, N, kPacks, kMore>;
  follow();
  extern __shared__ __align__(16) unsigned char memory[];
  const int n = static_cast<int>(b.x.cols), first = threadIdx.x % 32 * N;
  const auto column = [&](int p) { return first + p * 32 * N; };
  float dw[kPacks][N] = {};
  Pack<T, N> w[kPacks];
#pragma unroll
  for (int p = 0; p < kPacks; ++p)
    if (column(p) < n) w[p] = load_pack<N>(b.w + column(p));
  Rows coming(b, memory);
  int64_t row = coming.row;
  float r = row < b.x.rows ? b.rstd[row] : 0.0F;
  for (int s = 0; s + 1 < Rows::kStages; ++s) coming.ask_next(s);
  for (int stage = 0; row < b.x.rows; row += coming.step) {
    const int64_t next = row + coming.step;
    const float next_r = next < b.x.rows ? b.rstd[next] : 0.0F;
    coming.ask_next(stage == 0 ? Rows::kStages - 1 : stage - 1);
    coming.wait();
    Pack<float, N> dy[kPacks];
    float dot = 0.0F;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      if (column(p) >= n) continue;
      dy[p] = dy_of(coming, stage, row, p, column(p));
      const Pack<T, N>& x = coming.at(stage, 1, p);
#pragma unroll
      for (int e = 0; e < N; ++e) {
        const float product = dy[p].at[e] * to_float(x.at[e]);
        dot += product * to_float(w[p].at[e]);
        dw[p][e] += product * r;
      }
    }
    const float pull = warp_sum(dot) / static_cast<float>(n) * r * r;
#pragma unroll
    for (int p = 0; p < kPacks; ++p)
      if (b.dx && column(p) < n)
        store_pack<N>(b.dx.row(row) + column(p),
                      pack_gradient(dy[p], coming.at(stage, 1, p), w[p], r, pull,
                                    coming.at(stage, 2, p), b.fresh));
    r = next_r;
    if (++stage == Rows::kStages) stage = 0;
  }
  if (b.parts == nullptr) return;
  __syncthreads();
  float* shares = reinterpret_cast<float*>(memory);  // [kWarps, n]
#pragma unroll
  for (int p = 0; p < kPacks; ++p)
    if (column(p) < n)
#pragma unroll
      for (int e = 0; e < N; ++e) shares[threadIdx.x / 32 * n + column(p) + e] = dw[p][e];
  __syncthreads();
  for (int j = threadIdx.x; j < n; j += blockDim.x) {
    float sum = 0.0F;
    for (int i = 0; i < Rows::kWarps; ++i) sum += shares[i * n + j];
    b.parts[int64_t{blockIdx.x} * n + j] = sum;
  }
}

// A pack of a row's dy with those that count in it too, kAtOnce of which are on their way together.
constexpr int kAtOnce = 6;
template <class T, int N>
__device__ Pack<float, N> dy_and_more(const Backward<T>& b, int64_t row, int64_t j) {
  const auto own = load_pack<N>(b.dy.row(row) + j);
  const int32_t* chosen = b.row_of.row(row);
  Pack<float, N> dy;
#pragma unroll
  for (int e = 0; e < N; ++e) dy.at[e] = to_float(own.at[e]);
  for (int64_t first = 0; first < b.row_of.cols; first += kAtOnce) {
    Pack<T, N> some[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k)
      if (first + k < b.row_of.cols) some[k] = load_pack<N>(b.more.row(chosen[first + k]) + j);
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k)
      if (first + k < b.row_of.cols)
#pragma unroll
        for (int e = 0; e < N; ++e) dy.at[e] += to_float(some[k].at[e]);
  }
  return dy;
}

// A block takes neighbouring rows, kRows at a time, and each thread the same kPacks packs of each:
// so its share of dw stays in registers. kMore: other rows count in dy too.
template <class T, int N, int kPacks, int kRows, bool kMore>
__global__ void __launch_bounds__(kMostThreads) backward_kernel(Backward<T> b) {
  follow();
  const int64_t n = b.x.cols, step = int64_t{blockDim.x} * N, column = int64_t{threadIdx.x} * N;
  const int64_t first = int64_t{blockIdx.x} * b.rows_of_block;
  const int64_t end = min(first + b.rows_of_block, b.x.rows);
  float dw[kPacks][N] = {};
  Pack<T, N> w[kPacks];
#pragma unroll
  for (int p = 0; p < kPacks; ++p)
    if (column + p * step < n) w[p] = load_pack<N>(b.w + column + p * step);
  for (int64_t row = first; row < end; row += kRows) {
    Pack<T, N> x[kRows][kPacks];
    std::conditional_t<kMore, Pack<float, N>, Pack<T, N>> dy[kRows][kPacks];
    float dot[kRows] = {}, r[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (row + i >= end) continue;
      r[i] = b.rstd[row + i];
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        const int64_t j = column + p * step;
        if (j >= n) continue;
        x[i][p] = load_pack<N>(b.x.row(row + i) + j);
        if constexpr (kMore) {
          dy[i][p] = dy_and_more<T, N>(b, row + i, j);
        } else {
          dy[i][p] = load_pack<N>(b.dy.row(row + i) + j);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int p = 0; p < kPacks; ++p)
        if (row + i < end && column + p * step < n)
#pragma unroll
          for (int e = 0; e < N; ++e) {
            const float grad = to_float(dy[i][p].at[e]), value = to_float(x[i][p].at[e]);
            dot[i] += grad * to_float(w[p].at[e]) * value;
            dw[p][e] += grad * (value * r[i]);
          }
    block_sums(dot);
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        const int64_t j = column + p * step;
        if (!b.dx || row + i >= end || j >= n) continue;
        const float pull = dot[i] / static_cast<float>(n) * r[i] * r[i];
        T* to = b.dx.row(row + i) + j;
        Pack<T, N> before{};
        if (!b.fresh) before = load_pack<N>(to);
        store_pack<N>(to, pack_gradient(dy[i][p], x[i][p], w[p], r[i], pull, before, b.fresh));
      }
  }
  if (b.parts != nullptr) put_share(b.parts + int64_t{blockIdx.x} * n, dw, n);
}

unsigned threads_for(int64_t packs_of_row) {
  return static_cast<unsigned>(
      std::clamp<int64_t>((packs_of_row + 31) / 32 * 32, 32, kMostThreads));
}

constexpr int64_t kMostBlocks = 2048;  // of 32 threads; fewer of larger ones

constexpr int64_t kRowBlocks = 132;  // of backward_rows: one fills a multiprocessor

// The gradient of the weights, from the shares of so many blocks.
template <class T, class Launch>
void with_parts(Context& ctx, Backward<T>& b, const Grad& dw, int64_t blocks, Launch&& launch) {
  ArenaScope scope(ctx.scratch);
  if (dw.data == nullptr) return launch();
  const int64_t cols = b.x.cols;
  const Tensor parts = ctx.scratch.tensor("rms_norm.parts", DType::f32, {blocks, cols});
  b.parts = data_of<float>(parts);
  launch();
  sum_parts(ctx, dw, parts);
}

template <class T, int N, int kPacks, int kMore>
void launch_rows(Context& ctx, Backward<T> b, const Grad& dw) {
  using Rows = Coming<T, N, kPacks, kMore>;
  const int64_t blocks = std::min<int64_t>(blocks_for(b.x.rows, Rows::kWarps), kRowBlocks);
  const auto kernel = backward_rows<T, N, kPacks, kMore>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Rows::kBytes));
  with_parts(ctx, b, dw, blocks, [&] {
    launch_following(ctx, kernel, {static_cast<unsigned>(blocks), Rows::kWarps * 32, Rows::kBytes},
                     b);
  });
}

template <class T, int N, int kPacks, int kRows, bool kMore = false>
void launch_backward(Context& ctx, Backward<T> b, const Grad& dw) {
  const int64_t rows = b.x.rows, n = b.x.cols;
  const unsigned threads = threads_for((n / N + kPacks - 1) / kPacks);
  const int64_t most = std::max<int64_t>(256, kMostBlocks * 32 / threads);
  b.rows_of_block = std::max<int64_t>((rows + most - 1) / most, 1);
  b.rows_of_block = (b.rows_of_block + kRows - 1) / kRows * kRows;
  const unsigned blocks = blocks_for(rows, b.rows_of_block);
  with_parts(ctx, b, dw, blocks, [&] {
    launch_following(ctx, backward_kernel<T, N, kPacks, kRows, kMore>, {blocks, threads}, b);
  });
}

}  // namespace

void rms_norm_forward(Context& ctx, Tensor y, const RmsNormSaved& saved, Tensor x, Tensor w,
                      double eps) {
  if (y.empty()) return;
  dispatch_widening(y.dtype, x.dtype, [&]<class Y, class X>() {
    const Rows<Y> weight = rows_of<Y>(w);
    const Forward<Y, X> f{rows_of<Y>(y), rows_of<Y>(saved.x), data_of<float>(saved.rstd),
                          rows_of<X>(x), weight.data,         static_cast<float>(eps)};
    const auto blocks = static_cast<unsigned>(f.x.rows);
    constexpr int n = kWide<Y>;
    const bool wide = packs(f.y) && packs(f.kept) && packs(f.x) && packs(weight);
    // The order of a row's sum depends on its length alone.
    if (wide && f.x.cols <= 32 * 8 * n) {
      const int64_t rows_of_block = f.x.rows >= kManyRows ? kWarpRows : 1;
      const auto kernel = f.x.cols <= 32 * 2 * n   ? forward_rows<Y, X, n, 2>
                          : f.x.cols <= 32 * 4 * n ? forward_rows<Y, X, n, 4>
                                                   : forward_rows<Y, X, n, 8>;
      return launch_following(
          ctx, kernel,
          {blocks_for(f.x.rows, rows_of_block), static_cast<unsigned>(rows_of_block * 32)}, f);
    }
    launch_following(ctx, wide ? forward_kernel<Y, X, n> : forward_kernel<Y, X, 1>,
                     {blocks, threads_for(f.x.cols / (wide ? n : 1))}, f);
  });
}

bool rms_norm_adds(const Tensor& x, const ChosenRows& more) {
  const int64_t unit = 16 / static_cast<int64_t>(size_of(x.dtype));
  // Those of an arena are aligned; what is strided is looked at by rms_norm_backward.
  return more.rows.contiguous() && x.contiguous() && x.cols() % unit == 0 &&
         x.cols() <= kMostThreads * unit;
}

void rms_norm_backward(Context& ctx, const RmsNormGrads& grads, Tensor dy, Tensor x, Tensor w,
                       Tensor rstd, const ChosenRows& more) {
  dispatch(dy.dtype, [&]<class T>() {
    const Rows<T> weight = rows_of<T>(w);
    const Backward<T> b{rows_of<T>(grads.dx),
                        grads.dx.fresh,
                        nullptr,
                        rows_of<T>(dy),
                        rows_of<T>(x),
                        weight.data,
                        data_of<float>(rstd),
                        0,
                        rows_of<T>(more.rows),
                        rows_of<int32_t>(more.row_of)};
    dispatch_pack<T>({b.dx, b.dy, b.x, weight, b.more}, [&]<int N>() {
      const int64_t packs_of_row = b.x.cols / N;
      if constexpr (N > 1) {
        if (packs_of_row <= 32 * 2 && !b.more) return launch_rows<T, N, 2, 0>(ctx, b, grads.dw);
        if (packs_of_row <= 32 * 4 && !b.more) return launch_rows<T, N, 4, 0>(ctx, b, grads.dw);
        if (packs_of_row <= 32 * 4) return launch_rows<T, N, 4, 4>(ctx, b, grads.dw);
      }
      if (packs_of_row <= kMostThreads && b.more)
        return launch_backward<T, N, 1, 2, true>(ctx, b, grads.dw);
      if (packs_of_row <= kMostThreads) return launch_backward<T, N, 1, 4>(ctx, b, grads.dw);
      if (packs_of_row <= 2 * kMostThreads) return launch_backward<T, N, 2, 2>(ctx, b, grads.dw);
      if (packs_of_row <= 8 * kMostThreads) return launch_backward<T, N, 8, 1>(ctx, b, grads.dw);
      require(!b.more, "rms_norm: the GPU adds no rows to this dy");
      // Only numbers taken one by one get here.
      require(N == 1 && packs_of_row <= 32 * kMostThreads,
              "rms_norm: the GPU takes no rows of this length");
      launch_backward<T, 1, 32, 1>(ctx, b, grads.dw);
    });
  });
}

}  // namespace temper::cuda
