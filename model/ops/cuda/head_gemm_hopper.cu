// The head's product with what is done to its logits, tile by tile while they are in registers: a
// tile's share of a row's softmax, the same with weights exp(z - reference) of which the gradient
// is made when the row's sum is known (head_linear.h), or the gradient of the logits in 16 bits.
// Tiles, order and pipeline are those of the experts' products (grouped_mainloop.h), with one group
// of all rows.
#include "model/ops/cuda/head_gemm_hopper.h"

#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/grouped_launch.h"
#include "model/ops/cuda/grouped_mainloop.h"
#include "model/ops/cuda/grouped_store.h"

namespace temper::cuda {
namespace {

using namespace grouped;

// Of the logits of one row in one tile: the largest, sum exp(z - top), and sum exp(z - top) (z -
// top).
struct alignas(16) Share {
  float top, sum, below, unused;
};

struct Forward {
  Share* shares;        // [rows, tiles of columns]
  float* target_logit;  // [rows]
  const int32_t* target;
  float inverse;  // 1 / temperature
  int tiles;
  // Where weights exp(z - reference) are kept: of each row, and what its largest logit is.
  const float* reference = nullptr;
  float* top = nullptr;
};
static_assert(kTileCols == kHeadTile && sizeof(Share) == kHeadShare * sizeof(float));
[[maybe_unused]] constexpr float kMostAbove = most_above(kNarrow);  // Hopper's code alone

struct Backward {
  const int32_t* target;
  const float *dlogprob, *dentropy, *entropy, *lse;  // dentropy and entropy may be null
  float inverse;
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

constexpr float kLog2E = 1.44269504F;

__device__ inline float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The maximum or sum over the four threads that share a row.
__device__ inline float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffU, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffU, x, 2));
}
__device__ inline float quad_sum(float x) {
  x += __shfl_xor_sync(0xffffffffU, x, 1);
  return x + __shfl_xor_sync(0xffffffffU, x, 2);
}

// A thread's rows of a tile are `row` and `row` + 8; of each it holds columns 8 j + 2 c and the one
// after in d[4 j + 2 half] and d[4 j + 2 half + 1].
struct Corner {
  int row, col;  // of the thread's first number
  __device__ explicit Corner(const Tile& t)
      : row(t.row + static_cast<int>(threadIdx.x) / 128 * 64 + threadIdx.x % 128 / 32 * 16 +
            threadIdx.x % 32 / 4),
        col(t.col + static_cast<int>(threadIdx.x) % 4 * 2) {}
};

// kKeep: exp(z - reference) goes to C, 0 for the target.
template <bool kKeep>
struct StatsEpilogue {
  static constexpr int kParts = kKeep ? RowsEpilogue<Narrow, false>::kParts : 0;
  const Problem& p;
  const Forward& f;
  RowsEpilogue<Narrow, false> rows;

  __device__ void prepare(const Tile& t) {
    if constexpr (kKeep) rows.prepare(t);
  }
  __device__ void part(int i) {
    if constexpr (kKeep) rows.part(i);
  }
  __device__ void finish(float (&d)[128], const Tile& t) {
    const Corner corner(t);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = corner.row + 8 * half;
      // The target among the thread's columns.
      const int at = row < t.end ? f.target[row] - corner.col : -1;
      float top = -INFINITY, target_logit = 0.0F;
#pragma unroll
      for (int i = 0; i < 64; ++i) {
        float& z = d[i / 2 * 4 + 2 * half + i % 2];
        z = corner.col + i / 2 * 8 + i % 2 < p.cols ? z * f.inverse : -INFINITY;
        top = fmaxf(top, z);
      }
      top = quad_max(top);
      float sum = 0.0F, below = 0.0F, scale = 0.0F;
      if constexpr (kKeep)
        if (row < t.end) scale = exp2_approx(fminf(top - f.reference[row], kMostAbove) * kLog2E);
#pragma unroll
      for (int i = 0; i < 64; ++i) {
        float& z = d[i / 2 * 4 + 2 * half + i % 2];
        const float gap = fmaxf(z - top, -1e30F), e = exp2_approx(gap * kLog2E);
        sum += e;
        below += e * gap;
        const bool is_target = at == i / 2 * 8 + i % 2;
        if (is_target) target_logit = z;
        if constexpr (kKeep) z = is_target ? 0.0F : e * scale;
      }
      sum = quad_sum(sum);
      below = quad_sum(below);
      if (row >= t.end || t.col >= p.cols) continue;  // of two tiles apart one may be empty
      if (threadIdx.x % 4 == 0)
        f.shares[static_cast<int64_t>(row) * f.tiles + t.col / kTileCols] = {top, sum, below, 0.0F};
      if (at >= 0 && at < kTileCols && at % 8 <= 1) f.target_logit[row] = target_logit;
    }
    if constexpr (kKeep) rows.finish(d, t);
  }
};

struct GradientEpilogue {
  static constexpr int kParts = RowsEpilogue<Narrow, false>::kParts;
  const Backward& b;
  RowsEpilogue<Narrow, false> rows;
  // Of the thread's two rows: dlogit = p (factor + slope log p) + [column == target] gain.
  float lse[2] = {}, factor[2] = {}, slope[2] = {}, gain[2] = {};
  int target[2] = {};

  __device__ void prepare(const Tile& t) {
    const Corner corner(t);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = min(corner.row + 8 * half, t.end - 1);
      target[half] = b.target[row];
      lse[half] = b.lse[row];
      const float g = target[half] < 0 ? 0.0F : b.dlogprob[row];
      const float e = b.dentropy != nullptr ? b.dentropy[row] : 0.0F;
      factor[half] = -(e == 0.0F ? g : g + e * b.entropy[row]) * b.inverse;
      slope[half] = -e * b.inverse;
      gain[half] = g * b.inverse;
    }
  }
  __device__ void finish(float (&d)[128], const Tile& t) {
    const Corner corner(t);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < 64; ++i) {
        float& z = d[i / 2 * 4 + 2 * half + i % 2];
        const float log_p = z * b.inverse - lse[half];
        z = exp2_approx(log_p * kLog2E) * (factor[half] + slope[half] * log_p);
        if (corner.col + i / 2 * 8 + i % 2 == target[half]) z += gain[half];
      }
    }
    rows.finish(d, t);
  }
  __device__ void part(int i) {
    rows.part(i);
  }
};

#endif

template <bool kKeep>
__global__ void __launch_bounds__(kThreads, 1)
    stats_kernel(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                 const Problem p, const Forward f) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  run_tiles<Narrow, Kind::forward>(p, a, b, [&] { return StatsEpilogue<kKeep>{p, f, {p}}; });
#endif
}

__global__ void __launch_bounds__(kThreads, 1)
    gradient_kernel(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                    const Problem p, const Backward g) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  run_tiles<Narrow, Kind::forward>(p, a, b, [&] { return GradientEpilogue{g, {p}}; });
#endif
}

// A warp a row: the shares of its tiles in order of the lanes, then of the lanes.
__global__ void join_kernel(Forward f, int64_t rows, int64_t vocab, float* logprob, float* entropy,
                            float* lse) {
  follow();
  const int64_t row = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (row >= rows) return;
  const int lane = threadIdx.x % 32;
  const Share* shares = f.shares + row * f.tiles;
  float top = -INFINITY;
  for (int i = lane; i < f.tiles; i += 32) top = fmaxf(top, shares[i].top);
  top = warp_max(top);
  double sum = 0.0, below = 0.0;
  for (int i = lane; i < f.tiles; i += 32) {
    const Share s = shares[i];
    const double gap = static_cast<double>(s.top) - static_cast<double>(top);
    const double factor = expf(s.top - top);
    sum += s.sum * factor;
    below += (s.below + s.sum * gap) * factor;
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    sum += __shfl_xor_sync(0xffffffffU, sum, offset);
    below += __shfl_xor_sync(0xffffffffU, below, offset);
  }
  if (lane > 0) return;
  if (f.target[row] >= vocab) __trap();  // a target outside the vocabulary
  const double all = static_cast<double>(top) + log(sum);
  lse[row] = static_cast<float>(all);
  if (f.top != nullptr) f.top[row] = top;
  if (entropy != nullptr) entropy[row] = static_cast<float>(log(sum) - below / sum);
  logprob[row] =
      f.target[row] < 0 ? 0.0F : static_cast<float>(static_cast<double>(f.target_logit[row]) - all);
}

// One group of all rows; c is null where the logits are not kept.
Problem problem_of(void* c, int64_t stride, const Tensor& hidden, const Tensor& lm_head) {
  return {.c = c,
          .stride = stride,
          .rows = static_cast<int>(hidden.rows()),
          .cols = static_cast<int>(lm_head.rows()),
          .inner = static_cast<int>(hidden.cols())};
}

}  // namespace

namespace {

// Where `kept` is null: no weights.
void forward_hopper(Context& ctx, const LogProbOutputs& out, const HeadWeights* kept,
                    const Tensor& hidden, const Tensor& lm_head, const HeadTargets& targets) {
  ArenaScope scope(ctx.scratch);
  const int64_t rows = hidden.rows(), vocab = lm_head.rows();
  const int64_t tiles = (vocab + kTileCols - 1) / kTileCols;
  const Tensor shares =
      kept != nullptr ? kept->shares
                      : ctx.scratch.tensor("head.shares", DType::f32, {rows, tiles, kHeadShare});
  const Tensor logit = ctx.scratch.tensor("head.target_logit", DType::f32, {rows});
  Forward f{reinterpret_cast<Share*>(shares.data), data_of<float>(logit),
            data_of<int32_t>(targets.targets), static_cast<float>(1.0 / targets.temperature),
            static_cast<int>(tiles)};
  Problem problem = problem_of(nullptr, 0, hidden, lm_head);
  if (kept != nullptr) {
    f.reference = data_of<float>(kept->reference);
    f.top = data_of<float>(kept->top);
    problem = problem_of(kept->weights.data, kept->weights.row_stride, hidden, lm_head);
  }
  launch_tiles<Kind::forward>(ctx, kept == nullptr ? stats_kernel<false> : stats_kernel<true>,
                              rows_map(hidden), weights_map(lm_head, Kind::forward), problem, f);
  launch_following(ctx, join_kernel, {blocks_for(rows, 4), 128}, f, rows, vocab,
                   data_of<float>(out.logprob), data_of<float>(out.entropy),
                   data_of<float>(out.lse));
}

}  // namespace

template <>
void head_log_prob_forward_hopper_of<kNarrow>(Context& ctx, const LogProbOutputs& out,
                                              const Tensor& hidden, const Tensor& lm_head,
                                              const HeadTargets& targets) {
  forward_hopper(ctx, out, nullptr, hidden, lm_head, targets);
}

template <>
void head_log_prob_weights_hopper_of<kNarrow>(Context& ctx, const LogProbOutputs& out,
                                              const HeadWeights& kept, const Tensor& hidden,
                                              const Tensor& lm_head, const HeadTargets& targets) {
  forward_hopper(ctx, out, &kept, hidden, lm_head, targets);
}

template <>
void head_log_prob_backward_hopper_of<kNarrow>(Context& ctx, const Tensor& dlogits,
                                               const HeadGradients& gradients, const Tensor& hidden,
                                               const Tensor& lm_head, const HeadTargets& targets) {
  const Backward b{
      data_of<int32_t>(targets.targets),   data_of<float>(gradients.dlogprob),
      data_of<float>(gradients.dentropy),  data_of<float>(gradients.saved.entropy),
      data_of<float>(gradients.saved.lse), static_cast<float>(1.0 / targets.temperature)};
  launch_tiles<Kind::forward>(ctx, gradient_kernel, rows_map(hidden),
                              weights_map(lm_head, Kind::forward),
                              problem_of(dlogits.data, dlogits.row_stride, hidden, lm_head), b);
}

}  // namespace temper::cuda
