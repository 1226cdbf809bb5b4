#include "model/ops/cpu/attention.h"

#include <cmath>

#include "model/ops/cpu/gemm.h"
#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/softmax.h"

namespace temper::cpu {
namespace {

constexpr int64_t kQueryBlock = 48;  // queries whose scores are held at a time

// The rows of one head of one sequence: element (t, d) of [T, heads, dim].
template <class T>
struct Head {
  T* data = nullptr;
  int64_t stride = 0;

  Head(const Tensor& t, int64_t first, int64_t head)
      : data(t.row<T>(first * t.dim(1) + head)), stride(t.dim(1) * t.row_stride) {}
  T* row(int64_t i) const { return data + i * stride; }
  MatrixView<const T> rows(int64_t i) const { return {row(i), stride, 1}; }
  MatrixView<const T> columns() const { return {data, 1, stride}; }
  MatrixView<T> out(int64_t i) const { return {row(i), stride, 1}; }
};

int64_t longest_sequence(std::span<const int32_t> cu) {
  int64_t longest = 0;
  for (size_t s = 0; s + 1 < cu.size(); ++s)
    longest = std::max<int64_t>(longest, cu[s + 1] - cu[s]);
  return longest;
}

// One sequence's rows, and the memory to work in.
template <class T>
struct Task {
  int64_t first = 0, length = 0;  // rows of the sequence
  int64_t past = 0;               // keys before the first row's own
  T* scores = nullptr;            // [kQueryBlock, longest]
  T* other = nullptr;             // the same again, for backward
  int64_t pitch = 0;
  T* workspace = nullptr;
};

template <class T>
void forward_head(const Task<T>& task, const Tensor& o, const Tensor& lse, Head<T> q, Head<T> k,
                  Head<T> v, int64_t head, int64_t dim, T scale) {
  const Head<T> out(o, task.first, head);
  for (int64_t i = 0; i < task.length; i += kQueryBlock) {
    const int64_t rows = std::min(kQueryBlock, task.length - i), seen = task.past + i + rows;
    gemm_serial<T>({rows, seen, dim, q.rows(i), k.columns(), {task.scores, task.pitch, 1}, false},
                   task.workspace);
    T inverse[kQueryBlock];
    for (int64_t r = 0; r < rows; ++r) {
      const SoftmaxRow<T> row(task.scores + r * task.pitch, task.past + i + r + 1, seen, scale);
      inverse[r] = T(1) / row.sum;
      if (lse.data) lse.row<T>(task.first + i + r)[head] = scale * row.top + std::log(row.sum);
    }
    gemm_serial<T>(
        {rows, o.cols(), seen, {task.scores, task.pitch, 1}, v.rows(0), out.out(i), false},
        task.workspace);
    for (int64_t r = 0; r < rows; ++r) {
      T* row = out.row(i + r);
#pragma omp simd
      for (int64_t d = 0; d < o.cols(); ++d) row[d] *= inverse[r];
    }
  }
}

template <class T>
void forward(Context& ctx, const Tensor& o, const Tensor& lse, const Tensor& q, const Tensor& k,
             const Tensor& v, const AttentionShape& shape) {
  const int64_t heads = q.dim(1), group = heads / k.dim(1);
  const int64_t sequences = static_cast<int64_t>(shape.sequences.cu_seqlens.size()) - 1;
  const std::span<const int32_t> keys = shape.of_keys().cu_seqlens;
  const int64_t longest = longest_sequence(keys), threads = ctx.pool.size();
  const int64_t widest = std::max(q.cols(), v.cols());
  ArenaScope scope(ctx.scratch);
  const int64_t size =
      gemm_workspace<T>(longest, std::max(longest, widest), std::max(longest, widest));
  const Tensor scores =
      ctx.scratch.tensor("attention.scores", dtype_of<T>(), {threads, kQueryBlock * longest});
  const Tensor workspace = ctx.scratch.tensor("attention.gemm", dtype_of<T>(), {threads, size});
  parallel_tasks(ctx, sequences * heads, [&](int64_t slot, int64_t index) {
    const size_t s = static_cast<size_t>(index / heads);
    const int64_t h = index % heads, first = shape.sequences.cu_seqlens[s];
    const int64_t length = shape.sequences.cu_seqlens[s + 1] - first, first_key = keys[s];
    const Task<T> task{first,
                       length,
                       keys[s + 1] - first_key - length,
                       scores.row<T>(slot),
                       nullptr,
                       longest,
                       workspace.row<T>(slot)};
    if (task.length == 0) return;
    forward_head<T>(task, o, lse, Head<T>(q, first, h), Head<T>(k, first_key, h / group),
                    Head<T>(v, first_key, h / group), h, q.cols(), static_cast<T>(shape.scale));
  });
}

// scores q.k -> P, and do.v^T -> dS, for one row of queries.
template <class T>
void row_gradient(T* p, T* ds, int64_t n, int64_t padded, T scale, T lse, T delta) {
#pragma omp simd
  for (int64_t u = 0; u < n; ++u) {
    p[u] = fast_exp(scale * p[u] - lse);
    ds[u] = p[u] * (ds[u] - delta) * scale;
  }
  std::fill(p + n, p + padded, T(0));
  std::fill(ds + n, ds + padded, T(0));
}

template <class T>
void backward_head(const Task<T>& task, const AttentionGrads& grads, const Tensor& d_o,
                   const AttentionSaved& saved, int64_t head, T scale) {
  const int64_t kv = head / (saved.q.dim(1) / saved.k.dim(1));
  const int64_t dim = saved.q.cols(), dim_v = saved.v.cols(), pitch = task.pitch;
  const Head<T> q(saved.q, task.first, head), k(saved.k, task.first, kv),
      v(saved.v, task.first, kv);
  const Head<T> o(saved.o, task.first, head), grad(d_o, task.first, head);
  const Head<T> dq(grads.dq, task.first, head), dk(grads.dk, task.first, kv);
  const Head<T> dv(grads.dv, task.first, kv);
  for (int64_t i = 0; i < task.length; i += kQueryBlock) {
    const int64_t rows = std::min(kQueryBlock, task.length - i), seen = i + rows;
    const MatrixView<const T> p_t{task.scores, 1, pitch};
    const MatrixView<const T> ds{task.other, pitch, 1}, ds_t{task.other, 1, pitch};
    gemm_serial<T>({rows, seen, dim, q.rows(i), k.columns(), {task.scores, pitch, 1}, false},
                   task.workspace);
    gemm_serial<T>({rows, seen, dim_v, grad.rows(i), v.columns(), {task.other, pitch, 1}, false},
                   task.workspace);
    for (int64_t r = 0; r < rows; ++r) {
      const T *a = grad.row(i + r), *b = o.row(i + r);
      const T delta = lane_sum<T>(dim_v, [&](int64_t d) { return a[d] * b[d]; });
      row_gradient(task.scores + r * pitch, task.other + r * pitch, i + r + 1, seen, scale,
                   saved.lse.row<T>(task.first + i + r)[head], delta);
    }
    gemm_serial<T>({rows, dim, seen, ds, k.rows(0), dq.out(i), true}, task.workspace);
    gemm_serial<T>({seen, dim, rows, ds_t, q.rows(i), dk.out(0), true}, task.workspace);
    gemm_serial<T>({seen, dim_v, rows, p_t, grad.rows(i), dv.out(0), true}, task.workspace);
  }
}

template <class T>
void backward(Context& ctx, const AttentionGrads& grads, const Tensor& d_o,
              const AttentionSaved& saved, const AttentionShape& shape) {
  const int64_t kv_heads = saved.k.dim(1), group = saved.q.dim(1) / kv_heads;
  const int64_t sequences = static_cast<int64_t>(shape.sequences.cu_seqlens.size()) - 1;
  const int64_t longest = longest_sequence(shape.sequences.cu_seqlens), threads = ctx.pool.size();
  const int64_t widest = std::max({saved.q.cols(), saved.v.cols(), longest});
  ArenaScope scope(ctx.scratch);
  const Tensor scores =
      ctx.scratch.tensor("attention.scores", dtype_of<T>(), {threads, kQueryBlock * longest});
  const Tensor other =
      ctx.scratch.tensor("attention.dscores", dtype_of<T>(), {threads, kQueryBlock * longest});
  const Tensor workspace = ctx.scratch.tensor("attention.gemm", dtype_of<T>(),
                                              {threads, gemm_workspace<T>(widest, widest, widest)});
  // A task owns a kv head of a sequence: the query heads that share it add in order.
  parallel_tasks(ctx, sequences * kv_heads, [&](int64_t slot, int64_t index) {
    const size_t s = static_cast<size_t>(index / kv_heads);
    const int64_t first = shape.sequences.cu_seqlens[s];
    const Task<T> task{first,
                       shape.sequences.cu_seqlens[s + 1] - first,
                       0,
                       scores.row<T>(slot),
                       other.row<T>(slot),
                       longest,
                       workspace.row<T>(slot)};
    if (task.length == 0) return;
    for (int64_t g = 0; g < group; ++g)
      backward_head<T>(task, grads, d_o, saved, index % kv_heads * group + g,
                       static_cast<T>(shape.scale));
  });
}

}  // namespace

void attention_forward(Context& ctx, Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v,
                       const AttentionShape& shape) {
  dispatch_float(o.dtype, [&]<class T>() { forward<T>(ctx, o, lse, q, k, v, shape); });
}

void attention_backward(Context& ctx, const AttentionGrads& grads, Tensor d_o,
                        const AttentionSaved& saved, const AttentionShape& shape) {
  dispatch_float(d_o.dtype, [&]<class T>() { backward<T>(ctx, grads, d_o, saved, shape); });
}

}  // namespace temper::cpu
