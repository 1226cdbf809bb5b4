#include "model/ops/cpu/embedding.h"

#include <string>

#include "model/ops/cpu/parallel.h"

namespace temper::cpu {
namespace {

const int32_t* checked_ids(const Tensor& ids, int64_t vocabulary) {
  const int32_t* id = ids.get<int32_t>();
  for (int64_t t = 0; t < ids.numel(); ++t) {
    if (id[t] >= 0 && id[t] < vocabulary) continue;
    require(false, "embedding: id " + std::to_string(id[t]) + " at row " + std::to_string(t) +
                       " is outside the table of " + std::to_string(vocabulary));
  }
  return id;
}

}  // namespace

void embedding_forward(Context& ctx, Tensor y, Tensor table, Tensor ids) {
  const int32_t* id = checked_ids(ids, table.rows());
  dispatch_float(y.dtype, [&]<class T>() {
    parallel_rows(ctx, y.rows(), y.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const T* from = table.row<T>(id[t]);
        std::copy(from, from + y.cols(), y.row<T>(t));
      }
    });
  });
}

void scatter_rows_add(Context& ctx, Tensor y, Tensor x, Tensor index) {
  cpu::embedding_backward(ctx, y, x, index);
}

void embedding_backward(Context& ctx, Tensor dtable, Tensor dy, Tensor ids) {
  const int32_t* id = checked_ids(ids, dtable.rows());
  dispatch_float(dy.dtype, [&]<class T>() {
    // Threads share columns: rows of one id are added in order of t whatever the thread count.
    parallel_rows(ctx, dy.cols(), 2 * dy.rows(), [&](int64_t begin, int64_t end) {
      for (int64_t t = 0; t < dy.rows(); ++t) {
        const T* from = dy.row<T>(t);
        T* to = dtable.row<T>(id[t]);
#pragma omp simd
        for (int64_t i = begin; i < end; ++i) to[i] += from[i];
      }
    });
  });
}

}  // namespace temper::cpu
