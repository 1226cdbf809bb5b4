// The logits' gradient is never made: with weights w = exp(z - reference), 0 for the target, it is
//   dlogits_t = share_t w_t + own_t [column == target],
// so that share scales rows of d numbers instead of rows of the vocabulary:
//   dlm_head = w^T (share hidden) + own hidden at the targets' rows,
//   dhidden = share (w lm_head) + own lm_head[target].
// The reference is the target's own logit, which is never above the largest. Where the largest lies
// more than most_above() above it, weights were cut off, and the row is brought to another
// reference.
#include "model/ops/cuda/head_linear.h"

#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/embedding.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/head_gemm_hopper.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/linear.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128, kPack = 8;
constexpr float kMostAbove = most_above(kNarrow);

// Of the sums of weights, which are beyond f16 where many are large.
using Sum = std::conditional_t<kNarrow == DType::f16, float, Narrow>;

// A warp a row: the logit of its target over the temperature; 0 without one.
__global__ void __launch_bounds__(kThreads)
    reference_kernel(float* reference, Rows<Narrow> hidden, Rows<Narrow> lm_head,
                     const int32_t* target, float inverse) {
  follow();
  const int64_t row = int64_t{blockIdx.x} * (kThreads / 32) + threadIdx.x / 32;
  if (row >= hidden.rows) return;
  const int id = target[row];
  if (id >= lm_head.rows) __trap();  // a target outside the vocabulary
  float sum = 0.0F;
  if (id >= 0)
    for (int64_t j = threadIdx.x % 32 * kPack; j < hidden.cols; j += 32 * kPack) {
      const auto x = load_pack<kPack>(hidden.row(row) + j);
      const auto w = load_pack<kPack>(lm_head.row(id) + j);
#pragma unroll
      for (int i = 0; i < kPack; ++i) sum += to_float(x.at[i]) * to_float(w.at[i]);
    }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) reference[row] = sum * inverse;
}

struct RowsOfHead {
  const int32_t* target;
  const float *dlogprob, *logprob, *lse, *reference, *top, *shares;
  float inverse;
  int64_t tiles;
  float *share, *own;
  Rows<Narrow> weights, hidden;
  Rows<Narrow> shared, owned;  // hidden times share and own
};

// Weights of a row that were cut off, or may have been: to the largest logit as their reference.
__device__ void move_reference(const RowsOfHead& h, int64_t row) {
  const float reference = h.reference[row], top = h.top[row];
  for (int64_t j = int64_t{threadIdx.x} * kPack; j < h.weights.cols; j += kThreads * kPack) {
    const float tile = h.shares[(row * h.tiles + j / kHeadTile) * kHeadShare];
    const float factor = expf(tile - top - fminf(tile - reference, kMostAbove));
    auto pack = load_pack<kPack>(h.weights.row(row) + j);
#pragma unroll
    for (int i = 0; i < kPack; ++i) pack.at[i] = from_float<Narrow>(to_float(pack.at[i]) * factor);
    store_pack<kPack>(h.weights.row(row) + j, pack);
  }
}

// A block a row.
__global__ void __launch_bounds__(kThreads) rows_kernel(RowsOfHead h) {
  follow();
  const int64_t row = blockIdx.x;
  const float gain = h.target[row] < 0 ? 0.0F : h.dlogprob[row] * h.inverse;
  const bool moved = h.top[row] - h.reference[row] > kMostAbove;
  const float share = -gain * expf((moved ? h.top[row] : h.reference[row]) - h.lse[row]);
  const float own = -gain * expm1f(h.logprob[row]);
  if (threadIdx.x == 0) h.share[row] = share, h.own[row] = own;
  for (int64_t j = int64_t{threadIdx.x} * kPack; j < h.hidden.cols; j += kThreads * kPack) {
    const auto x = load_pack<kPack>(h.hidden.row(row) + j);
    Pack<Narrow, kPack> shared, owned;
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      shared.at[i] = from_float<Narrow>(to_float(x.at[i]) * share);
      owned.at[i] = from_float<Narrow>(to_float(x.at[i]) * own);
    }
    store_pack<kPack>(h.shared.row(row) + j, shared);
    store_pack<kPack>(h.owned.row(row) + j, owned);
  }
  if (moved) move_reference(h, row);
}

// A block a row: dhidden = share y + own lm_head[target], written or added.
__global__ void __launch_bounds__(kThreads)
    dhidden_kernel(Rows<Narrow> dhidden, bool fresh, Rows<Sum> y, Rows<Narrow> lm_head,
                   RowsOfHead h) {
  follow();
  const int64_t row = blockIdx.x;
  const int id = h.target[row];
  const float share = h.share[row], own = h.own[row];
  for (int64_t j = int64_t{threadIdx.x} * kPack; j < y.cols; j += kThreads * kPack) {
    const auto of_all = load_pack<kPack>(y.row(row) + j);
    const auto of_target = load_pack<kPack>(lm_head.row(max(id, 0)) + j);
    Pack<Narrow, kPack> out{};
    if (!fresh) out = load_pack<kPack>(dhidden.row(row) + j);
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      const float grad =
          id < 0 ? 0.0F : share * to_float(of_all.at[i]) + own * to_float(of_target.at[i]);
      out.at[i] = from_float<Narrow>(fresh ? grad : to_float(out.at[i]) + grad);
    }
    store_pack<kPack>(dhidden.row(row) + j, out);
  }
}

// In scratch memory of the caller's scope.
HeadWeights make_weights(Context& ctx, int64_t rows, int64_t vocab) {
  const auto f32 = [&](const char* name) { return ctx.scratch.tensor(name, DType::f32, {rows}); };
  const int64_t tiles = (vocab + kHeadTile - 1) / kHeadTile;
  return {ctx.scratch.tensor("head.weights", kNarrow, {rows, vocab}), f32("head.reference"),
          f32("head.top"),
          ctx.scratch.tensor("head.shares", DType::f32, {rows, tiles, kHeadShare})};
}

}  // namespace

template <>
void head_log_prob_linear_hopper_of<kNarrow>(Context& ctx, const LogProbOutputs& out,
                                             const LinearGrads& grads, const Tensor& dlogprob,
                                             const Tensor& hidden, const Tensor& lm_head,
                                             const HeadTargets& targets) {
  if (hidden.rows() == 0) {
    to_add(ctx, grads.dw);
    return;
  }
  ArenaScope scope(ctx.scratch);
  const int64_t rows = hidden.rows(), d = hidden.cols();
  const auto blocks = static_cast<unsigned>(rows);
  const auto scratch = [&](const char* name, DType dtype) {
    return ctx.scratch.tensor(name, dtype, {rows, d});
  };
  const HeadWeights kept = make_weights(ctx, rows, lm_head.rows());
  const Tensor share = ctx.scratch.tensor("head.share", DType::f32, {rows});
  const Tensor own = ctx.scratch.tensor("head.own", DType::f32, {rows});
  const Tensor shared = scratch("head.shared", kNarrow);  // [T, d]
  const Tensor owned = scratch("head.owned", kNarrow);    // [T, d]
  const Tensor y = scratch("head.y", kDTypeOf<Sum>);      // [T, d]
  const Rows<Narrow> x = rows_of<Narrow>(hidden), w = rows_of<Narrow>(lm_head);
  const auto inverse = static_cast<float>(1.0 / targets.temperature);
  const int32_t* target = data_of<int32_t>(targets.targets);
  launch_following(ctx, reference_kernel, {blocks_for(rows, kThreads / 32), kThreads},
                   data_of<float>(kept.reference), x, w, target, inverse);
  head_log_prob_weights_hopper_of<kNarrow>(ctx, out, kept, hidden, lm_head, targets);
  const RowsOfHead h{target,
                     data_of<float>(dlogprob),
                     data_of<float>(out.logprob),
                     data_of<float>(out.lse),
                     data_of<float>(kept.reference),
                     data_of<float>(kept.top),
                     data_of<float>(kept.shares),
                     inverse,
                     kept.shares.dim(1),
                     data_of<float>(share),
                     data_of<float>(own),
                     rows_of<Narrow>(kept.weights),
                     x,
                     rows_of<Narrow>(shared),
                     rows_of<Narrow>(owned)};
  launch_following(ctx, rows_kernel, {blocks, kThreads}, h);
  if (grads.dw.data != nullptr) {
    cuda::linear_backward(ctx, {.dw = grads.dw}, kept.weights, shared, lm_head);
    cuda::embedding_backward(ctx, grads.dw, owned, targets.targets);
  }
  if (grads.dx.data == nullptr) return;
  cuda::linear_backward(ctx, {.dx = fresh(y)}, kept.weights, hidden, lm_head);
  const Rows<Narrow> dx = rows_of<Narrow>(grads.dx);
  require(packs(dx), "head: the gradient of hidden is not aligned as hidden is");
  launch_following(ctx, dhidden_kernel, {blocks, kThreads}, dx, grads.dx.fresh, rows_of<Sum>(y), w,
                   h);
}

}  // namespace temper::cuda
