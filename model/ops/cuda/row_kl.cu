#include "model/ops/cuda/row_kl.h"

#include "model/ops/cuda/block_double.h"
#include "model/ops/cuda/kernel.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 512;  // a block takes a row

struct Problem {
  Rows<float> student, teacher;
  double* kl;
  double inverse;  // 1 / temperature
  double scale;    // of the gradient, over the temperature
};

// log sum exp of row / temperature.
__device__ double log_sum_exp(const float* row, int64_t n, double inverse) {
  float highest = -INFINITY;
  for (int64_t v = threadIdx.x; v < n; v += kThreads) highest = fmaxf(highest, row[v]);
  const double top = static_cast<double>(block_max(highest)) * inverse;
  double sum = 0.0;
  for (int64_t v = threadIdx.x; v < n; v += kThreads)
    sum += expf(static_cast<float>(static_cast<double>(row[v]) * inverse - top));
  return top + log(block_sum_double(sum));
}

// Logarithms are taken in double, since differences of them are what counts.
template <KlDirection kDirection>
__global__ void __launch_bounds__(kThreads) row_kl_kernel(Problem p) {
  constexpr bool kForward = kDirection == KlDirection::forward;
  float* student = p.student.row(blockIdx.x);
  const float* teacher = p.teacher.row(blockIdx.x);
  const int64_t n = p.student.cols;
  const double lse_p = log_sum_exp(student, n, p.inverse);
  const double lse_q = log_sum_exp(teacher, n, p.inverse);
  const auto log_p = [&](int64_t v) { return static_cast<double>(student[v]) * p.inverse - lse_p; };
  const auto log_q = [&](int64_t v) { return static_cast<double>(teacher[v]) * p.inverse - lse_q; };
  double own = 0.0;
  for (int64_t v = threadIdx.x; v < n; v += kThreads) {
    const double of = kForward ? log_q(v) : log_p(v), from = kForward ? log_p(v) : log_q(v);
    const float weight = expf(static_cast<float>(of));
    if (weight > 0.0F) own += static_cast<double>(weight) * (of - from);
  }
  const double kl = block_sum_double(own);
  for (int64_t v = threadIdx.x; v < n; v += kThreads) {
    const double to = log_p(v);
    const float weight = expf(static_cast<float>(to));
    double slope = 0.0;
    if (kForward) {
      slope = static_cast<double>(weight) - static_cast<double>(expf(static_cast<float>(log_q(v))));
    } else if (weight > 0.0F) {
      slope = static_cast<double>(weight) * (to - log_q(v) - kl);
    }
    student[v] = static_cast<float>(p.scale * slope);
  }
  if (threadIdx.x == 0) p.kl[blockIdx.x] = kl;
}

}  // namespace

void row_kl(Context& ctx, Tensor kl, Tensor student, Tensor teacher, const RowKlParams& params) {
  const double inverse = 1.0 / params.temperature;
  const Problem p{rows_of<float>(student), rows_of<float>(teacher), data_of<double>(kl), inverse,
                  params.scale * inverse};
  if (p.student.rows == 0) return;
  const auto kernel = params.direction == KlDirection::forward
                          ? row_kl_kernel<KlDirection::forward>
                          : row_kl_kernel<KlDirection::reverse>;
  kernel<<<blocks_for(p.student.rows, 1), kThreads, 0, stream_of(ctx)>>>(p);
  check_launch();
}

}  // namespace temper::cuda
