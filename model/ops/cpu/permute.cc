#include "model/ops/cpu/permute.h"

#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/simd.h"

namespace temper::cpu {

void plan_experts(Context&, const ExpertPlan& plan, Tensor experts) {
  const int32_t* expert = experts.get<int32_t>();
  int32_t* row_of = plan.row_of.get<int32_t>();
  int32_t* token_of = plan.token_of.get<int32_t>();
  int32_t* offsets = plan.offsets.get<int32_t>();
  const int64_t choices = experts.numel(), per_token = experts.cols();
  const int64_t count = plan.offsets.numel() - 1;
  // A counting sort whose running heads are offsets themselves, shifted back at the end.
  std::fill(offsets, offsets + count + 1, 0);
  for (int64_t c = 0; c < choices; ++c) {
    require(expert[c] >= 0 && expert[c] < count, "plan_experts: an expert outside the layer");
    ++offsets[expert[c] + 1];
  }
  for (int64_t e = 0; e < count; ++e) offsets[e + 1] += offsets[e];
  for (int64_t c = 0; c < choices; ++c) {
    const int32_t row = offsets[expert[c]]++;
    row_of[c] = row;
    token_of[row] = static_cast<int32_t>(c / per_token);
  }
  for (int64_t e = count; e > 0; --e) offsets[e] = offsets[e - 1];
  offsets[0] = 0;
}

void count_rows(Context&, Tensor counts, std::span<const Tensor> offsets) {
  for (int64_t l = 0; l < counts.rows(); ++l) {
    const int32_t* first = offsets[static_cast<size_t>(l)].get<int32_t>();
    for (int64_t e = 0; e < counts.cols(); ++e)
      counts.row<int32_t>(l)[e] += first[e + 1] - first[e];
  }
}

void gather_rows_forward(Context& ctx, Tensor y, Tensor x, Tensor index) {
  const int32_t* from = index.get<int32_t>();
  dispatch_float(y.dtype, [&]<class T>() {
    parallel_rows(ctx, y.rows(), y.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T* row = x.row<T>(from[r]);
        std::copy(row, row + y.cols(), y.row<T>(r));
      }
    });
  });
}

void spread_rows(Context& ctx, Tensor y, Tensor x, Tensor row_of) {
  dispatch_float(y.dtype, [&]<class T>() {
    parallel_rows(ctx, x.rows(), row_of.cols() * x.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t)
        for (int64_t k = 0; k < row_of.cols(); ++k)
          std::copy(x.row<T>(t), x.row<T>(t) + x.cols(), y.row<T>(row_of.row<int32_t>(t)[k]));
    });
  });
}

void gather_rows_backward(Context& ctx, Tensor dx, Tensor dy, Tensor row_of) {
  const int64_t per_token = row_of.cols(), n = dx.cols();
  dispatch_float(dx.dtype, [&]<class T>() {
    parallel_rows(ctx, dx.rows(), per_token * n, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        T* to = dx.row<T>(t);
        for (int64_t k = 0; k < per_token; ++k) {
          const T* from = dy.row<T>(row_of.row<int32_t>(t)[k]);
#pragma omp simd
          for (int64_t i = 0; i < n; ++i) to[i] += from[i];
        }
      }
    });
  });
}

void combine_forward(Context& ctx, Tensor y, const Combined& rows) {
  const Tensor &x = rows.x, &weights = rows.weights, &row_of = rows.row_of, &plus = rows.plus;
  const int64_t per_token = row_of.cols(), n = y.cols();
  dispatch_float(y.dtype, [&]<class T>() {
    parallel_rows(ctx, y.rows(), 2 * per_token * n, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        T* to = y.row<T>(t);
        if (!plus.empty())
          for (int64_t i = 0; i < n; ++i) to[i] += plus.row<T>(t)[i];
        for (int64_t k = 0; k < per_token; ++k) {
          const T* from = x.row<T>(row_of.row<int32_t>(t)[k]);
          const T w = weights.row<T>(t)[k];
#pragma omp simd
          for (int64_t i = 0; i < n; ++i) to[i] += w * from[i];
        }
      }
    });
  });
}

}  // namespace temper::cpu
