#include "model/ops/cuda/log_prob.h"

#include <cfloat>

#include "model/ops/cuda/block_double.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 512;  // a block takes a row

// The running softmax of the numbers that a thread has seen: their largest, sum exp(z - top), and
// sum exp(z - top) (z - top). Numbers come in packs, summed in float; packs are summed in double.
struct Running {
  float top = -FLT_MAX;  // finite, so that a logit of -inf is exp(-inf)
  double sum = 0.0, below = 0.0;

  __device__ void move_top(float to) {
    const double step = static_cast<double>(top) - static_cast<double>(to);
    const double factor = expf(top - to);
    below = (below + sum * step) * factor;
    sum *= factor;
    top = to;
  }
  template <int kCount>
  __device__ void add(const float (&z)[kCount], bool want_entropy) {
    float highest = z[0];
    for (int j = 1; j < kCount; ++j) highest = fmaxf(highest, z[j]);
    if (highest > top) move_top(highest);
    float p_sum = 0.0F, below_sum = 0.0F;
    for (int j = 0; j < kCount; ++j) {
      const float p = expf(z[j] - top);
      p_sum += p;
      if (want_entropy && p > 0.0F) below_sum += p * (z[j] - top);
    }
    sum += p_sum;
    if (want_entropy) below += below_sum;
  }
};

struct Forward {
  Rows<float> logits;
  const int32_t* target;
  float *logprob, *entropy, *lse;  // entropy may be null
  float inverse;                   // 1 / temperature
};

template <int kCount>
__global__ void __launch_bounds__(kThreads) row_stats(Forward f) {
  const int64_t t = blockIdx.x;
  float* row = f.logits.row(t);
  const bool want_entropy = f.entropy != nullptr;
  Running own;
  for (int64_t i = threadIdx.x; i < f.logits.cols / kCount; i += kThreads) {
    const Pack<float, kCount> x = pack_at<kCount>(row, i);
    float z[kCount];
    for (int j = 0; j < kCount; ++j) z[j] = x.at[j] * f.inverse;
    own.add(z, want_entropy);
  }
  own.move_top(block_max(own.top));
  const double sum = block_sum_double(own.sum), below = block_sum_double(own.below);
  if (threadIdx.x > 0) return;
  const double lse = static_cast<double>(own.top) + log(sum);
  f.lse[t] = static_cast<float>(lse);
  if (want_entropy) f.entropy[t] = static_cast<float>(log(sum) - below / sum);
  const int32_t target = f.target[t];
  if (target >= f.logits.cols) __trap();  // a target outside the vocabulary
  f.logprob[t] =
      target < 0 ? 0.0F : static_cast<float>(static_cast<double>(row[target] * f.inverse) - lse);
}

struct Backward {
  Rows<float> logits;
  const int32_t* target;
  const float *dlogprob, *dentropy, *entropy, *lse;  // dentropy may be null
  float inverse;
};

// g (onehot - p) - e p (log p + entropy), over the temperature.
template <int kCount>
__global__ void __launch_bounds__(kThreads) row_gradient(Backward b) {
  const int64_t t = blockIdx.x;
  float* row = b.logits.row(t);
  const int32_t target = b.target[t];
  const float g = target < 0 ? 0.0F : b.dlogprob[t];
  const float e = b.dentropy != nullptr ? b.dentropy[t] : 0.0F;
  const float entropy = b.dentropy != nullptr ? b.entropy[t] : 0.0F, lse = b.lse[t];
  const bool nothing = g == 0.0F && e == 0.0F;
  for (int64_t i = threadIdx.x; i < b.logits.cols / kCount; i += kThreads) {
    Pack<float, kCount> x = pack_at<kCount>(row, i);
    for (int j = 0; j < kCount; ++j) {
      const float log_p = x.at[j] * b.inverse - lse, p = expf(log_p);
      float d = 0.0F;
      if (e == 0.0F) {
        d = nothing ? 0.0F : -g * b.inverse * p;
      } else if (p > 0.0F) {
        d = -p * (g + e * (log_p + entropy)) * b.inverse;
      }
      x.at[j] = i * kCount + j == target ? d + g * b.inverse : d;
    }
    pack_at<kCount>(row, i) = x;
  }
}

}  // namespace

void log_prob_forward(Context& ctx, const LogProbOutputs& out, Tensor logits, Tensor targets,
                      double temperature) {
  const Forward f{rows_of<float>(logits),      data_of<int32_t>(targets),
                  data_of<float>(out.logprob), data_of<float>(out.entropy),
                  data_of<float>(out.lse),     static_cast<float>(1.0 / temperature)};
  if (f.logits.rows == 0) return;
  dispatch_pack<float>({f.logits}, [&]<int kCount>() {
    row_stats<kCount><<<blocks_for(f.logits.rows, 1), kThreads, 0, stream_of(ctx)>>>(f);
    check_launch();
  });
}

void log_prob_backward(Context& ctx, Tensor logits, Tensor dlogprob, Tensor dentropy,
                       const LogProbOutputs& saved, Tensor targets, double temperature) {
  const Backward b{rows_of<float>(logits),
                   data_of<int32_t>(targets),
                   data_of<float>(dlogprob),
                   data_of<float>(dentropy),
                   data_of<float>(saved.entropy),
                   data_of<float>(saved.lse),
                   static_cast<float>(1.0 / temperature)};
  if (b.logits.rows == 0) return;
  dispatch_pack<float>({b.logits}, [&]<int kCount>() {
    row_gradient<kCount><<<blocks_for(b.logits.rows, 1), kThreads, 0, stream_of(ctx)>>>(b);
    check_launch();
  });
}

}  // namespace temper::cuda
