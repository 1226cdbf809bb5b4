#include "model/ops/cuda/router.h"

#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32;  // a warp takes a token
constexpr int kMostPerLane = 16;                       // experts of a lane
constexpr float kSmallest = 1e-20F;  // keeps a sum of vanished scores from dividing by zero
constexpr unsigned kAll = 0xffffffffU;

struct Gate {
  int experts, top_k, groups, open_groups;
  bool normalise, sigmoid, limited, top_two;
  float factor;
};

Gate gate_of(const RouterParams& params, int64_t experts) {
  require(experts <= 32 * kMostPerLane && params.top_k <= 32,
          "the GPU's router takes up to 512 experts and 32 choices a token");
  return {static_cast<int>(experts),
          static_cast<int>(params.top_k),
          static_cast<int>(params.n_group),
          static_cast<int>(params.topk_group),
          params.norm_topk_prob,
          params.scoring_func == ScoringFunc::sigmoid,
          params.group_limited && params.topk_group < params.n_group,
          params.has_correction_bias,
          static_cast<float>(params.routed_scaling_factor)};
}

// The numbers of one token, spread over a warp: number lane + 32 i is value[i] of that lane.
// Bit i of `taken` marks it.
template <int kPerLane>
struct Spread {
  float value[kPerLane];
  unsigned taken = 0;
};

// Orders like the number itself; a NaN like -inf, and nothing is 0.
__device__ inline unsigned rank_of(float x) {
  if (isnan(x)) x = -INFINITY;
  const unsigned bits = __float_as_uint(x + 0.0F);  // -0 is 0
  return bits >> 31 ? ~bits : bits | 0x80000000U;
}

// Marks the `count` largest of n; ties go to the lower index. A NaN counts as -inf, so exactly
// `count` are marked whatever the values.
template <int kPerLane>
__device__ void take_largest(Spread<kPerLane>& numbers, int n, int count) {
  const int lane = threadIdx.x % 32;
  unsigned rank[kPerLane];
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) rank[i] = lane + 32 * i < n ? rank_of(numbers.value[i]) : 0U;
  numbers.taken = 0;
  for (int k = 0; k < count; ++k) {
    unsigned best = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) best = max(best, rank[i]);
    best = __reduce_max_sync(kAll, best);
    if (best == 0) return;  // fewer than `count`
    unsigned at = kAll;
#pragma unroll
    for (int i = kPerLane - 1; i >= 0; --i)
      if (rank[i] == best) at = static_cast<unsigned>(lane + 32 * i);
    at = __reduce_min_sync(kAll, at);
#pragma unroll
    for (int i = 0; i < kPerLane; ++i)
      if (at == static_cast<unsigned>(lane + 32 * i)) {
        numbers.taken |= 1U << i;
        rank[i] = 0;
      }
  }
}

// V3: the sum of the group's two best; V2: its best.
__device__ float group_score(const float* value, int n, bool top_two) {
  float first = -INFINITY, second = -INFINITY;
  for (int i = 0; i < n; ++i) {
    if (value[i] > first) {
      second = first;
      first = value[i];
    } else if (value[i] > second) {
      second = value[i];
    }
  }
  return top_two && n > 1 ? first + second : first;
}

// Closes all but the best groups of `choice` by -inf. `shared` has a place for each expert.
template <int kPerLane>
__device__ void close_groups(Spread<kPerLane>& choice, const Gate& gate, float* shared) {
  const int lane = threadIdx.x % 32, size = gate.experts / gate.groups;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i)
    if (lane + 32 * i < gate.experts) shared[lane + 32 * i] = choice.value[i];
  __syncwarp();
  Spread<kPerLane> group;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    const int g = lane + 32 * i;
    group.value[i] =
        g < gate.groups ? group_score(shared + g * size, size, gate.top_two) : -INFINITY;
  }
  take_largest(group, gate.groups, gate.open_groups);
  __syncwarp();
#pragma unroll
  for (int i = 0; i < kPerLane; ++i)
    if (lane + 32 * i < gate.groups) shared[lane + 32 * i] = group.taken >> i & 1 ? 1.0F : 0.0F;
  __syncwarp();
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    const int e = lane + 32 * i;
    if (e < gate.experts && shared[e / size] == 0.0F) choice.value[i] = -INFINITY;
  }
}

template <int kPerLane>
__device__ Spread<kPerLane> load_row(const float* row, int n) {
  Spread<kPerLane> out;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    const int e = threadIdx.x % 32 + 32 * i;
    out.value[i] = e < n ? row[e] : -INFINITY;
  }
  return out;
}

template <int kPerLane>
__device__ void score_row(Spread<kPerLane>& x, const Gate& gate) {
  if (gate.sigmoid) {
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) x.value[i] = 1.0F / (1.0F + expf(-x.value[i]));
    return;
  }
  float top = -INFINITY, sum = 0.0F;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) top = fmaxf(top, x.value[i]);
  top = warp_max(top);
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) sum += x.value[i] = expf(x.value[i] - top);
  sum = warp_sum(sum);  // what lies beyond the row is exp(-inf)
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) x.value[i] /= sum;
}

// The chosen in ascending order, and their weights.
template <int kPerLane>
__device__ void weigh(const Spread<kPerLane>& scores, const Gate& gate, int32_t* experts,
                      float* weights) {
  const int lane = threadIdx.x % 32;
  float sum = 0.0F;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i)
    if (scores.taken >> i & 1) sum += scores.value[i];
  sum = warp_sum(sum) + kSmallest;
  const float factor = gate.factor / (gate.normalise ? sum : 1.0F);
  int before = 0;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    const bool taken = scores.taken >> i & 1;
    const unsigned lanes = __ballot_sync(kAll, taken);
    if (taken) {
      const int k = before + __popc(lanes & ((1U << lane) - 1));
      experts[k] = lane + 32 * i;
      weights[k] = scores.value[i] * factor;
    }
    before += __popc(lanes);
  }
}

struct ForwardRows {
  Rows<int32_t> experts;
  Rows<float> weights, scores, logits;
  const float* bias;
};

template <int kPerLane>
__global__ void route(ForwardRows rows, Gate gate) {
  follow();
  __shared__ float shared[kWarps][32 * kPerLane];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t t = static_cast<int64_t>(blockIdx.x) * kWarps + warp;
  if (t >= rows.logits.rows) return;
  Spread<kPerLane> scores = load_row<kPerLane>(rows.logits.row(t), gate.experts);
  score_row(scores, gate);
  Spread<kPerLane> choice = scores;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    const int e = lane + 32 * i;
    if (e >= gate.experts) continue;
    rows.scores.row(t)[e] = scores.value[i];
    if (rows.bias != nullptr) choice.value[i] += rows.bias[e];
  }
  if (gate.limited) close_groups(choice, gate, shared[warp]);
  take_largest(choice, gate.experts, gate.top_k);
  scores.taken = choice.taken;
  weigh(scores, gate, rows.experts.row(t), rows.weights.row(t));
}

// ---- The way back: of the weights, and of the balance loss. Its f is counted first (integers, so
// in any order); each token's share of the loss is taken by a warp, all shares by one block.

struct Balance {
  const int32_t* cu_seqlens = nullptr;
  int64_t sequences = 0;
  int32_t* chosen = nullptr;  // [S, E] how many tokens of the sequence have the expert in their top
                              // K; null: no balance loss
  double* terms = nullptr;    // [T] each token's share of the loss
  double coefficient = 0.0;
};

// The sequence of token t; all lanes of the warp ask together.
__device__ int64_t sequence_of(const Balance& b, int64_t t) {
  const int64_t lane = threadIdx.x % 32;
  int64_t low = 0, count = b.sequences;  // cu[low] <= t < cu[low + count]
  while (count > 1) {
    const int64_t step = (count + 31) / 32, at = lane * step;
    const unsigned before = __ballot_sync(kAll, at < count && b.cu_seqlens[low + at] <= t);
    const int64_t passed = (__popc(before) - 1) * step;
    low += passed;
    count = min(step, count - passed);
  }
  return low;
}

constexpr int64_t kTokensOfBlock = 16;  // whose choices are counted in shared memory first

template <int kPerLane>
__global__ void count_chosen(Balance b, Rows<float> scores, Gate gate) {
  follow();
  extern __shared__ int32_t counts[];  // of the sequence that the block's first token is of
  for (int e = threadIdx.x; e < gate.experts; e += kThreads) counts[e] = 0;
  __syncthreads();
  const int64_t first = blockIdx.x * kTokensOfBlock, own = sequence_of(b, first);
  const int64_t end = min(first + kTokensOfBlock, scores.rows);
  for (int64_t t = first + threadIdx.x / 32; t < end; t += kWarps) {
    Spread<kPerLane> row = load_row<kPerLane>(scores.row(t), gate.experts);
    take_largest(row, gate.experts, gate.top_k);
    const int64_t s = t < b.cu_seqlens[own + 1] ? own : sequence_of(b, t);
    int32_t* chosen = s == own ? counts : b.chosen + s * gate.experts;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i)
      if (row.taken >> i & 1) atomicAdd(&chosen[threadIdx.x % 32 + 32 * i], 1);
  }
  __syncthreads();
  for (int e = threadIdx.x; e < gate.experts; e += kThreads)
    if (counts[e] > 0) atomicAdd(&b.chosen[own * gate.experts + e], counts[e]);
}

__device__ double warp_sum_double(double x) {
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(kAll, x, offset);
  return x;
}

// Adds the balance loss's gradient by the scores to `ds`, and writes the token's share of the loss.
template <int kPerLane>
__device__ void balance_scores(const Balance& b, const Gate& gate, int64_t t,
                               const float (&scores)[kPerLane], float (&ds)[kPerLane]) {
  const int lane = threadIdx.x % 32;
  const int64_t s = sequence_of(b, t);
  const int32_t* chosen = b.chosen + s * gate.experts;
  const auto length = static_cast<double>(b.cu_seqlens[s + 1] - b.cu_seqlens[s]);
  const double unit = static_cast<double>(gate.experts) / (gate.top_k * length);
  double f[kPerLane], plain = 0.0, weighted = 0.0;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    const int e = lane + 32 * i;
    f[i] = e < gate.experts ? unit * chosen[e] : 0.0;
    plain += static_cast<double>(scores[i]);
    weighted += f[i] * static_cast<double>(scores[i]);
  }
  plain = warp_sum_double(plain) + static_cast<double>(kSmallest);
  const double term = warp_sum_double(weighted) / plain;
  if (b.terms != nullptr && lane == 0) b.terms[t] = term / length;
  const double factor = b.coefficient / length / plain;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) ds[i] += static_cast<float>(factor * (f[i] - term));
}

template <class T>
struct BackwardRows {
  Rows<T> dlogits;               // may be null
  bool fresh;                    // dlogits
  Rows<float> dweights, scores;  // dweights may be null
  Rows<int32_t> experts;
};

// The weights' gradient by the scores.
template <int kPerLane>
__device__ void weight_scores(Rows<float> dweights, Rows<int32_t> experts, const float* scores,
                              const Gate& gate, int64_t t, float (&ds)[kPerLane]) {
  // Lane k holds choice k.
  const int lane = threadIdx.x % 32;
  const bool holds = lane < gate.top_k;
  const int expert = holds ? experts.row(t)[lane] : -1;
  const float score = holds ? scores[expert] : 0.0F;
  const float dw = holds ? dweights.row(t)[lane] : 0.0F;
  const float sum = warp_sum(score) + kSmallest, dot = warp_sum(dw * score);
  const float own = gate.normalise ? gate.factor / sum * (dw - dot / sum) : gate.factor * dw;
  for (int k = 0; k < gate.top_k; ++k) {
    const int chosen = __shfl_sync(kAll, expert, k);
    const float value = __shfl_sync(kAll, own, k);
#pragma unroll
    for (int i = 0; i < kPerLane; ++i)
      if (chosen == lane + 32 * i) ds[i] = value;
  }
}

// A warp a token: ds of each of its experts, then dlogits, added or, if they are fresh, written.
template <class T, int kPerLane>
__global__ void route_gradient(BackwardRows<T> rows, Balance balance, Gate gate) {
  follow();
  const int64_t t = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (t >= rows.scores.rows) return;
  const int lane = threadIdx.x % 32;
  const float* from = rows.scores.row(t);
  float scores[kPerLane], ds[kPerLane] = {}, dot = 0.0F;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i)
    scores[i] = lane + 32 * i < gate.experts ? from[lane + 32 * i] : 0.0F;
  if (rows.dweights) weight_scores(rows.dweights, rows.experts, from, gate, t, ds);
  if (balance.chosen != nullptr) balance_scores(balance, gate, t, scores, ds);
  if (!rows.dlogits) return;
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) dot += ds[i] * scores[i];  // a score beyond the row is 0
  if (!gate.sigmoid) dot = warp_sum(dot);
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    if (lane + 32 * i >= gate.experts) continue;
    T& to = rows.dlogits.row(t)[lane + 32 * i];
    const float s = scores[i];
    const float grad = gate.sigmoid ? ds[i] * s * (1.0F - s) : s * (ds[i] - dot);
    to = from_float<T>(rows.fresh ? grad : to_float(to) + grad);
  }
}

// One block: the sum of all terms, in an order that their number gives.
__global__ void add_terms(const double* terms, int64_t count, double* total) {
  follow();
  __shared__ double parts[32];
  double sum = 0.0;
#pragma unroll 8
  for (int64_t t = threadIdx.x; t < count; t += blockDim.x) sum += terms[t];
  sum = warp_sum_double(sum);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  sum = warp_sum_double(parts[threadIdx.x]);
  if (threadIdx.x == 0) *total += sum;
}

// Calls body.template operator()<experts of a lane>().
template <class Body>
void dispatch_experts(int64_t experts, Body&& body) {
  if (experts <= 32) return body.template operator()<1>();
  if (experts <= 64) return body.template operator()<2>();
  if (experts <= 256) return body.template operator()<8>();
  body.template operator()<kMostPerLane>();
}

// The counts of f and the place of the terms, in scratch memory of the caller's scope.
Balance count_balance(Context& ctx, const Tensor& scores, const BalanceLoss& loss,
                      const Gate& gate) {
  if (!loss.wanted()) return {};
  const Sequences& sequences = loss.sequences;
  require(sequences.on_device.numel() == sequences.count() + 1,
          "balance loss: the sequences are not on the GPU");
  const Tensor chosen =
      ctx.scratch.tensor("balance.chosen", DType::i32, {sequences.count(), gate.experts});
  Balance b{data_of<int32_t>(sequences.on_device), sequences.count(), data_of<int32_t>(chosen),
            nullptr, loss.coefficient};
  if (!loss.sum.empty())
    b.terms = data_of<double>(ctx.scratch.tensor("balance.terms", DType::f64, {scores.rows()}));
  check(cudaMemsetAsync(b.chosen, 0, static_cast<size_t>(chosen.numel()) * sizeof(int32_t),
                        stream_of(ctx)));
  const Rows<float> rows = rows_of<float>(scores);
  dispatch_experts(gate.experts, [&]<int kPerLane>() {
    const size_t shared = static_cast<size_t>(gate.experts) * sizeof(int32_t);
    launch_following(ctx, count_chosen<kPerLane>,
                     {blocks_for(rows.rows, kTokensOfBlock), kThreads, shared}, b, rows, gate);
  });
  return b;
}

}  // namespace

void router_forward(Context& ctx, const RouterOutputs& out, Tensor logits, Tensor bias,
                    const RouterParams& params) {
  const ForwardRows rows{rows_of<int32_t>(out.experts), rows_of<float>(out.weights),
                         rows_of<float>(out.scores), rows_of<float>(logits), data_of<float>(bias)};
  const Gate gate = gate_of(params, logits.cols());
  if (rows.logits.rows == 0) return;
  dispatch_experts(gate.experts, [&]<int kPerLane>() {
    const unsigned blocks = blocks_for(rows.logits.rows, kWarps);
    launch_following(ctx, route<kPerLane>, {blocks, kThreads}, rows, gate);
  });
}

void router_backward(Context& ctx, const Grad& dlogits, Tensor dweights, const RouterOutputs& saved,
                     const RouterParams& params, const BalanceLoss& loss) {
  const Tensor& scores = saved.scores;
  if (scores.rows() == 0) return;
  const Gate gate = gate_of(params, scores.cols());
  ArenaScope scope(ctx.scratch);
  const Balance balance = count_balance(ctx, scores, loss, gate);
  dispatch(dlogits.data != nullptr ? dlogits.dtype : DType::f32, [&]<class T>() {
    const BackwardRows<T> rows{rows_of<T>(dlogits), dlogits.fresh, rows_of<float>(dweights),
                               rows_of<float>(scores), rows_of<int32_t>(saved.experts)};
    dispatch_experts(gate.experts, [&]<int kPerLane>() {
      launch_following(ctx, route_gradient<T, kPerLane>,
                       {blocks_for(scores.rows(), kWarps), kThreads}, rows, balance, gate);
    });
  });
  if (balance.terms == nullptr) return;
  launch_following(ctx, add_terms, {1, 1024}, balance.terms, scores.rows(),
                   data_of<double>(loss.sum));
}

}  // namespace temper::cuda
