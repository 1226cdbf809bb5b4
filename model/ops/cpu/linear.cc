#include "model/ops/cpu/linear.h"

#include "model/ops/cpu/gemm.h"
#include "model/ops/cpu/parallel.h"

namespace temper::cpu {
namespace {

// The rows of a tensor as a matrix, and its transpose.
template <class T>
MatrixView<const T> rows_of(const Tensor& t) {
  return {t.get<T>(), t.row_stride, 1};
}
template <class T>
MatrixView<const T> columns_of(const Tensor& t) {
  return {t.get<T>(), 1, t.row_stride};
}

// Columns [begin, begin + n) of every expert's product are one thread's share: splitting columns,
// not experts, gives every thread the same work however the tokens are spread.
struct Slice {
  int64_t begin = 0, n = 0;
};
template <class Body>
void parallel_slices(Context& ctx, int64_t n, int64_t multiply_adds, Body&& body) {
  constexpr int64_t kUnit = 48, kSmallestShare = 65536;
  const int64_t units = (n + kUnit - 1) / kUnit;
  const int64_t parts = std::max<int64_t>(
      1, std::min({int64_t{ctx.pool.size()}, units, multiply_adds / kSmallestShare}));
  parallel_slots(ctx, parts, [&](int64_t slot) {
    const int64_t begin = units * slot / parts * kUnit;
    const int64_t end = std::min(n, units * (slot + 1) / parts * kUnit);
    body(slot, Slice{begin, end - begin});
  });
}

template <class T>
Tensor workspaces(Context& ctx, int64_t m, int64_t n, int64_t k) {
  return ctx.scratch.tensor("linear.workspace", dtype_of<T>(),
                            {ctx.pool.size(), gemm_workspace<T>(m, n, k)});
}

template <class T>
void add_bias_gradient(Context& ctx, const Tensor& dbias, const Tensor& dy) {
  T* out = dbias.get<T>();
  parallel_rows(ctx, dy.cols(), dy.rows(), [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < dy.rows(); ++t) {
      const T* from = dy.row<T>(t);
#pragma omp simd
      for (int64_t j = begin; j < end; ++j) out[j] += from[j];
    }
  });
}

template <class T>
void forward(Context& ctx, const Tensor& y, bool add, const Tensor& x, const Tensor& w,
             const Tensor& bias) {
  if (bias.data != nullptr) {
    parallel_rows(ctx, y.rows(), 2 * y.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const T* from = bias.get<T>();
        T* to = y.row<T>(t);
        for (int64_t j = 0; j < y.cols(); ++j) to[j] = add ? to[j] + from[j] : from[j];
      }
    });
  }
  gemm<T>(ctx, {y.rows(),
                y.cols(),
                x.cols(),
                rows_of<T>(x),
                columns_of<T>(w),
                {y.get<T>(), y.row_stride, 1},
                add || bias.data != nullptr});
}

template <class T>
void backward(Context& ctx, const LinearGrads& grads, const Tensor& dy, const Tensor& x,
              const Tensor& w) {
  if (grads.dx.data)
    gemm<T>(ctx, {dy.rows(),
                  w.cols(),
                  w.rows(),
                  rows_of<T>(dy),
                  rows_of<T>(w),
                  {grads.dx.get<T>(), grads.dx.row_stride, 1},
                  !grads.dx.fresh});
  if (grads.dw.data)
    gemm<T>(ctx, {w.rows(),
                  w.cols(),
                  dy.rows(),
                  columns_of<T>(dy),
                  rows_of<T>(x),
                  {grads.dw.get<T>(), grads.dw.row_stride, 1},
                  !grads.dw.fresh});
  if (grads.dbias.data) add_bias_gradient<T>(ctx, to_add(ctx, grads.dbias), dy);
}

template <class T>
void grouped_forward(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                     const int32_t* offsets) {
  const int64_t experts = w.dim(0), n = w.dim(1), k = w.dim(2);
  ArenaScope scope(ctx.scratch);
  const Tensor workspace = workspaces<T>(ctx, x.rows(), n, k);
  parallel_slices(ctx, n, x.rows() * n * k, [&](int64_t slot, Slice slice) {
    for (int64_t e = 0; e < experts; ++e) {
      const int64_t first = offsets[e], count = offsets[e + 1] - first;
      if (count == 0) continue;
      const T* we = w.get<T>() + (e * n + slice.begin) * k;
      gemm_serial<T>({count,
                      slice.n,
                      k,
                      {x.row<T>(first), x.row_stride, 1},
                      {we, 1, k},
                      {y.row<T>(first) + slice.begin, y.row_stride, 1},
                      false},
                     workspace.row<T>(slot));
    }
  });
}

template <class T>
void grouped_backward(Context& ctx, const LinearGrads& grads, const Tensor& dy, const Tensor& x,
                      const Tensor& w, const int32_t* offsets) {
  const int64_t experts = w.dim(0), n = w.dim(1), k = w.dim(2);
  ArenaScope scope(ctx.scratch);
  const Tensor workspace = workspaces<T>(ctx, std::max(n, x.rows()), k, std::max(n, x.rows()));
  parallel_slices(ctx, k, x.rows() * n * k, [&](int64_t slot, Slice slice) {
    for (int64_t e = 0; e < experts; ++e) {
      const int64_t first = offsets[e], count = offsets[e + 1] - first;
      if (grads.dx.data && count > 0)
        gemm_serial<T>({count,
                        slice.n,
                        n,
                        {dy.row<T>(first), dy.row_stride, 1},
                        {w.get<T>() + e * n * k + slice.begin, k, 1},
                        {grads.dx.row<T>(first) + slice.begin, grads.dx.row_stride, 1},
                        !grads.dx.fresh},
                       workspace.row<T>(slot));
      if (grads.dw.data && (count > 0 || grads.dw.fresh))
        gemm_serial<T>({n,
                        slice.n,
                        count,
                        {dy.row<T>(first), 1, dy.row_stride},
                        {x.row<T>(first) + slice.begin, x.row_stride, 1},
                        {grads.dw.get<T>() + e * n * k + slice.begin, k, 1},
                        !grads.dw.fresh},
                       workspace.row<T>(slot));
    }
  });
}

// y[:, h, :] = x[:, h, :] b_h for b_h [inner, outer] with the given steps inside row h of w.
template <class T>
void per_head(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w, int64_t b_row,
              int64_t b_col) {
  const int64_t tokens = x.dim(0), heads = x.dim(1);
  ArenaScope scope(ctx.scratch);
  const Tensor workspace = workspaces<T>(ctx, tokens, y.cols(), x.cols());
  parallel_tasks(ctx, heads, [&](int64_t slot, int64_t h) {
    const Gemm<T> g{tokens,
                    y.cols(),
                    x.cols(),
                    {x.row<T>(h), heads * x.row_stride, 1},
                    {w.row<T>(h), b_row, b_col},
                    {y.row<T>(h), heads * y.row_stride, 1},
                    false};
    gemm_serial(g, workspace.row<T>(slot));
  });
}

}  // namespace

void linear_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor bias) {
  dispatch_float(y.dtype, [&]<class T>() { forward<T>(ctx, y, false, x, w, bias); });
}

void linear_add_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor bias) {
  dispatch_float(y.dtype, [&]<class T>() { forward<T>(ctx, y, true, x, w, bias); });
}

void linear_backward(Context& ctx, const LinearGrads& grads, Tensor dy, Tensor x, Tensor w) {
  dispatch_float(dy.dtype, [&]<class T>() { backward<T>(ctx, grads, dy, x, w); });
}

void grouped_linear_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor offsets) {
  const int32_t* begin = offsets.get<int32_t>();
  dispatch_float(y.dtype, [&]<class T>() { grouped_forward<T>(ctx, y, x, w, begin); });
}

void grouped_linear_backward(Context& ctx, const LinearGrads& grads, Tensor dy, Tensor x, Tensor w,
                             Tensor offsets) {
  const int32_t* begin = offsets.get<int32_t>();
  dispatch_float(dy.dtype, [&]<class T>() { grouped_backward<T>(ctx, grads, dy, x, w, begin); });
}

void head_linear_forward(Context& ctx, Tensor y, Tensor x, Tensor w) {
  dispatch_float(y.dtype, [&]<class T>() { per_head<T>(ctx, y, x, w, 1, x.cols()); });
}

void head_linear_transposed_forward(Context& ctx, Tensor y, Tensor x, Tensor w) {
  dispatch_float(y.dtype, [&]<class T>() { per_head<T>(ctx, y, x, w, y.cols(), 1); });
}

}  // namespace temper::cpu
