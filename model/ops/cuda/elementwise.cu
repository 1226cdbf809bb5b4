#include "model/ops/cuda/elementwise.h"

#include "core/cuda/memory.h"
#include "core/device.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 256;

template <class Y, class X>
__device__ Y convert(X x) {
  if constexpr (std::is_same_v<X, Y>) {
    return x;
  } else if constexpr (std::is_same_v<Y, int32_t> || std::is_same_v<X, int32_t>) {
    return static_cast<Y>(x);
  } else {
    return from_float<Y>(to_float(x));
  }
}

template <class Y, class X, int N>
__global__ void copy_kernel(Rows<Y> y, Rows<X> x) {
  const Place p = place_of<N>(y.cols);
  if (p.row >= y.rows) return;
  const auto from = load_pack<N>(x.row(p.row) + p.col);
  Pack<Y, N> to;
#pragma unroll
  for (int i = 0; i < N; ++i) to.at[i] = convert<Y>(from.at[i]);
  store_pack<N>(y.row(p.row) + p.col, to);
}

template <class T, int N>
__global__ void add_kernel(Rows<T> out, Rows<T> a, Rows<T> b) {
  const Place p = place_of<N>(out.cols);
  if (p.row >= out.rows) return;
  const auto x = load_pack<N>(a.row(p.row) + p.col), y = load_pack<N>(b.row(p.row) + p.col);
  Pack<T, N> sum;
#pragma unroll
  for (int i = 0; i < N; ++i) sum.at[i] = from_float<T>(to_float(x.at[i]) + to_float(y.at[i]));
  store_pack<N>(out.row(p.row) + p.col, sum);
}

template <class T>
__global__ void scale_kernel(Rows<T> y, float factor) {
  const Place p = place_of<1>(y.cols);
  if (p.row >= y.rows) return;
  T& element = y.row(p.row)[p.col];
  element = from_float<T>(to_float(element) * factor);
}

// Block b takes packs b * kThreads + thread, then every gridDim.x * kThreads further; the squares
// of a pack are added in float, all else in double.
template <class T, int N>
__global__ void squares_kernel(double* parts, Rows<T> x) {
  const int64_t packs_of_row = x.cols / N, n = x.rows * packs_of_row;
  double sum = 0.0;
#pragma unroll 4
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kThreads) {
    const int64_t row = x.rows == 1 ? 0 : i / packs_of_row;
    const auto pack = load_pack<N>(x.row(row) + (i - row * packs_of_row) * N);
    float squares = 0.0F;
#pragma unroll
    for (int e = 0; e < N; ++e) squares += to_float(pack.at[e]) * to_float(pack.at[e]);
    sum += squares;
  }
  __shared__ double shared[kThreads];
  shared[threadIdx.x] = sum;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
  }
  if (threadIdx.x == 0) parts[blockIdx.x] = shared[0];
}

template <class Y, class X>
void convert_copy(Context& ctx, Tensor y, Tensor x) {
  const Rows<Y> to = rows_of<Y>(y);
  const Rows<X> from = rows_of<X>(x);
  constexpr int n = 4;
  const bool wide = packs(to) && packs(from) && to.cols % n == 0;
  const int64_t items = to.rows * to.cols / (wide ? n : 1);
  const auto blocks = blocks_for(items, kThreads);
  if (wide) {
    copy_kernel<Y, X, n><<<blocks, kThreads, 0, stream_of(ctx)>>>(to, from);
  } else {
    copy_kernel<Y, X, 1><<<blocks, kThreads, 0, stream_of(ctx)>>>(to, from);
  }
  check_launch();
}

}  // namespace

void fill_zero(Context& ctx, Tensor y) {
  if (y.empty()) return;
  const size_t unit = size_of(y.dtype);
  if (y.contiguous()) {
    check(cudaMemsetAsync(y.data, 0, static_cast<size_t>(y.numel()) * unit, stream_of(ctx)));
    return;
  }
  check(cudaMemset2DAsync(y.data, static_cast<size_t>(y.row_stride) * unit, 0,
                          static_cast<size_t>(y.cols()) * unit, static_cast<size_t>(y.rows()),
                          stream_of(ctx)));
}

void copy(Context& ctx, Tensor y, Tensor x) {
  if (y.empty()) return;
  if (y.dtype == x.dtype) {
    const size_t unit = size_of(y.dtype), width = static_cast<size_t>(y.cols()) * unit;
    const auto pitch = [&](const Tensor& t) {
      return t.rows() <= 1 ? width : static_cast<size_t>(t.row_stride) * unit;
    };
    check(cudaMemcpy2DAsync(y.data, pitch(y), x.data, pitch(x), width,
                            static_cast<size_t>(y.rows()), cudaMemcpyDeviceToDevice,
                            stream_of(ctx)));
    return;
  }
  if (y.dtype == DType::bf16) return convert_copy<bf16, float>(ctx, y, x);
  if (y.dtype == DType::f16) return convert_copy<f16, float>(ctx, y, x);
  if (x.dtype == DType::f16) return convert_copy<float, f16>(ctx, y, x);
  convert_copy<float, bf16>(ctx, y, x);
}

void add(Context& ctx, Tensor out, Tensor a, Tensor b) {
  if (out.empty()) return;
  dispatch(out.dtype, [&]<class T>() {
    const Rows<T> o = rows_of<T>(out), x = rows_of<T>(a), y = rows_of<T>(b);
    constexpr int n = kWide<T>;
    const bool wide = packs(o) && packs(x) && packs(y);
    const auto blocks = blocks_for(o.rows * o.cols / (wide ? n : 1), kThreads);
    if (wide) {
      add_kernel<T, n><<<blocks, kThreads, 0, stream_of(ctx)>>>(o, x, y);
    } else {
      add_kernel<T, 1><<<blocks, kThreads, 0, stream_of(ctx)>>>(o, x, y);
    }
    check_launch();
  });
}

void scale(Context& ctx, Tensor y, double factor) {
  if (y.empty()) return;
  dispatch(y.dtype, [&]<class T>() {
    scale_kernel<<<blocks_for(y.numel(), kThreads), kThreads, 0, stream_of(ctx)>>>(
        rows_of<T>(y), static_cast<float>(factor));
    check_launch();
  });
}

double sum_of_squares(Context& ctx, Tensor x) {
  if (x.empty()) return 0.0;
  ArenaScope scope(ctx.scratch);
  constexpr int64_t kParts = 1024;
  const Tensor parts = ctx.scratch.tensor("squares.parts", DType::f64, {kParts});
  dispatch(x.dtype, [&]<class T>() {
    const Rows<T> rows = rows_of<T>(x);
    dispatch_pack<T>({rows}, [&]<int N>() {
      squares_kernel<T, N><<<kParts, kThreads, 0, stream_of(ctx)>>>(data_of<double>(parts), rows);
      check_launch();
    });
  });
  double sum = 0.0;
  for (const double part : download_doubles(ctx, parts)) sum += part;
  return sum;
}

}  // namespace temper::cuda
