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

// Marks the `count` largest of n; ties go to the lower index. A NaN counts as -inf, so exactly
// `count` are marked whatever the values.
template <int kPerLane>
__device__ void take_largest(Spread<kPerLane>& numbers, int n, int count) {
  const int lane = threadIdx.x % 32;
  numbers.taken = 0;
  for (int k = 0; k < count; ++k) {
    float best = -INFINITY;
    int at = n;  // none yet
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const float v = isnan(numbers.value[i]) ? -INFINITY : numbers.value[i];
      const bool candidate = lane + 32 * i < n && !(numbers.taken >> i & 1);
      if (candidate && (at == n || v > best)) best = v, at = lane + 32 * i;
    }
    for (int offset = 16; offset > 0; offset /= 2) {
      const float v = __shfl_xor_sync(kAll, best, offset);
      const int other = __shfl_xor_sync(kAll, at, offset);
      if (other < n && (at == n || v > best || (v == best && other < at))) best = v, at = other;
    }
    if (at < n && at % 32 == lane) numbers.taken |= 1U << at / 32;
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

// ds -> dlogits of one row, added or, if it is fresh, written. `dscores(e)` is called by all lanes
// of the warp together.
template <class DScore>
__device__ void scores_backward(const float* scores, const Gate& gate, float* dlogits, bool fresh,
                                DScore&& dscores) {
  const int lane = threadIdx.x % 32;
  float dot = 0.0F;
  if (!gate.sigmoid) {
    for (int base = 0; base < gate.experts; base += 32) {
      const float ds = dscores(base + lane);
      if (base + lane < gate.experts) dot += ds * scores[base + lane];
    }
    dot = warp_sum(dot);
  }
  for (int base = 0; base < gate.experts; base += 32) {
    const int e = base + lane;
    const float ds = dscores(e);
    if (e >= gate.experts) continue;
    const float s = scores[e];
    const float grad = gate.sigmoid ? ds * s * (1.0F - s) : s * (ds - dot);
    dlogits[e] = fresh ? grad : dlogits[e] + grad;
  }
}

struct BackwardRows {
  Rows<float> dlogits;
  bool fresh;  // dlogits
  Rows<float> dweights, scores;
  Rows<int32_t> experts;
};

__global__ void route_gradient(BackwardRows rows, Gate gate) {
  const int64_t t = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (t >= rows.dlogits.rows) return;
  // Lane k holds choice k.
  const int lane = threadIdx.x % 32;
  const bool holds = lane < gate.top_k;
  const float* scores = rows.scores.row(t);
  const int expert = holds ? rows.experts.row(t)[lane] : -1;
  const float score = holds ? scores[expert] : 0.0F;
  const float dw = holds ? rows.dweights.row(t)[lane] : 0.0F;
  const float sum = warp_sum(score) + kSmallest, dot = warp_sum(dw * score);
  const float own = gate.normalise ? gate.factor / sum * (dw - dot / sum) : gate.factor * dw;
  scores_backward(scores, gate, rows.dlogits.row(t), rows.fresh, [&](int e) {
    float ds = 0.0F;
    for (int k = 0; k < gate.top_k; ++k) {
      const int chosen = __shfl_sync(kAll, expert, k);
      const float value = __shfl_sync(kAll, own, k);
      if (chosen == e) ds = value;
    }
    return ds;
  });
}

// ---- The balance loss. f is counted first (integers, so in any order), then each token's term is
// taken by a warp, each sequence's sum by a block, and the total by one thread.

struct Balance {
  Rows<float> scores;
  const int32_t* cu_seqlens;
  int64_t sequences;
  int32_t* chosen;  // [S, E] how many tokens of the sequence have the expert in their top K
};

__device__ int64_t sequence_of(const Balance& b, int64_t t) {
  int64_t low = 0, high = b.sequences;  // cu[low] <= t < cu[high]
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (b.cu_seqlens[middle] <= t ? low : high) = middle;
  }
  return low;
}

constexpr int64_t kTokensOfBlock = 16;  // whose choices are counted in shared memory first

template <int kPerLane>
__global__ void count_chosen(Balance b, Gate gate) {
  extern __shared__ int32_t counts[];  // of the sequence that the block's first token is of
  for (int e = threadIdx.x; e < gate.experts; e += kThreads) counts[e] = 0;
  __syncthreads();
  const int64_t first = blockIdx.x * kTokensOfBlock, own = sequence_of(b, first);
  const int64_t end = min(first + kTokensOfBlock, b.scores.rows);
  for (int64_t t = first + threadIdx.x / 32; t < end; t += kWarps) {
    Spread<kPerLane> scores = load_row<kPerLane>(b.scores.row(t), gate.experts);
    take_largest(scores, gate.experts, gate.top_k);
    const int64_t s = sequence_of(b, t);
    int32_t* chosen = s == own ? counts : b.chosen + s * gate.experts;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i)
      if (scores.taken >> i & 1) atomicAdd(&chosen[threadIdx.x % 32 + 32 * i], 1);
  }
  __syncthreads();
  for (int e = threadIdx.x; e < gate.experts; e += kThreads)
    if (counts[e] > 0) atomicAdd(&b.chosen[own * gate.experts + e], counts[e]);
}

__device__ double warp_sum_double(double x) {
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(kAll, x, offset);
  return x;
}

// What one token's term is made of: its sequence's f = unit * chosen, and its sums of scores.
struct Term {
  const int32_t* chosen;
  int64_t length;
  double unit, plain, weighted;

  __device__ Term(const Balance& b, const Gate& gate, int64_t t) {
    const int64_t s = sequence_of(b, t);
    chosen = b.chosen + s * gate.experts;
    length = b.cu_seqlens[s + 1] - b.cu_seqlens[s];
    unit = static_cast<double>(gate.experts) / static_cast<double>(gate.top_k * length);
    plain = weighted = 0.0;
    for (int e = threadIdx.x % 32; e < gate.experts; e += 32) {
      const double score = b.scores.row(t)[e];
      plain += score;
      weighted += unit * chosen[e] * score;
    }
    plain = warp_sum_double(plain) + static_cast<double>(kSmallest);
    weighted = warp_sum_double(weighted);
  }
};

__global__ void token_terms(Balance b, Gate gate, double* terms) {
  const int64_t t = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (t >= b.scores.rows) return;
  const Term term(b, gate, t);
  if (threadIdx.x % 32 == 0) terms[t] = term.weighted / term.plain;
}

// One block a sequence: the mean of its terms.
__global__ void sequence_means(Balance b, const double* terms, double* means) {
  __shared__ double parts[kWarps];
  const int64_t begin = b.cu_seqlens[blockIdx.x], end = b.cu_seqlens[blockIdx.x + 1];
  double sum = 0.0;
  for (int64_t t = begin + threadIdx.x; t < end; t += blockDim.x) sum += terms[t];
  sum = warp_sum_double(sum);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x > 0) return;
  sum = 0.0;
  for (int w = 0; w < kWarps; ++w) sum += parts[w];
  means[blockIdx.x] = begin < end ? sum / static_cast<double>(end - begin) : 0.0;
}

__global__ void add_means(const double* means, int64_t count, double* total) {
  double sum = *total;
  for (int64_t s = 0; s < count; ++s) sum += means[s];
  *total = sum;
}

__global__ void balance_gradient(Balance b, Gate gate, Rows<float> dlogits, double coefficient) {
  const int64_t t = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (t >= b.scores.rows) return;
  const Term term(b, gate, t);
  const double mean = term.weighted / term.plain;
  const double unit = coefficient / static_cast<double>(term.length) / term.plain;
  scores_backward(b.scores.row(t), gate, dlogits.row(t), false, [&](int e) {
    return e < gate.experts ? static_cast<float>(unit * (term.unit * term.chosen[e] - mean)) : 0.0F;
  });
}

// Calls body.template operator()<experts of a lane>().
template <class Body>
void dispatch_experts(int64_t experts, Body&& body) {
  if (experts <= 64) return body.template operator()<2>();
  if (experts <= 256) return body.template operator()<8>();
  body.template operator()<kMostPerLane>();
}

// The counts of f, in scratch memory of the caller's scope.
Balance count_balance(Context& ctx, const Tensor& scores, const Sequences& sequences,
                      const Gate& gate) {
  require(sequences.on_device.numel() == sequences.count() + 1,
          "balance_loss: the sequences are not on the GPU");
  const Tensor chosen =
      ctx.scratch.tensor("balance.chosen", DType::i32, {sequences.count(), gate.experts});
  const Balance b{rows_of<float>(scores), data_of<int32_t>(sequences.on_device), sequences.count(),
                  data_of<int32_t>(chosen)};
  check(cudaMemsetAsync(b.chosen, 0, static_cast<size_t>(chosen.numel()) * sizeof(int32_t),
                        stream_of(ctx)));
  dispatch_experts(gate.experts, [&]<int kPerLane>() {
    const size_t shared = static_cast<size_t>(gate.experts) * sizeof(int32_t);
    count_chosen<kPerLane>
        <<<blocks_for(b.scores.rows, kTokensOfBlock), kThreads, shared, stream_of(ctx)>>>(b, gate);
    check_launch();
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
                     const RouterParams& params) {
  const BackwardRows rows{rows_of<float>(dlogits), dlogits.fresh, rows_of<float>(dweights),
                          rows_of<float>(saved.scores), rows_of<int32_t>(saved.experts)};
  if (rows.dlogits.rows == 0) return;
  route_gradient<<<blocks_for(rows.dlogits.rows, kWarps), kThreads, 0, stream_of(ctx)>>>(
      rows, gate_of(params, dlogits.cols()));
  check_launch();
}

void balance_loss_forward(Context& ctx, Tensor sum, Tensor scores, const Sequences& sequences,
                          const RouterParams& params) {
  if (scores.rows() == 0) return;
  const Gate gate = gate_of(params, scores.cols());
  ArenaScope scope(ctx.scratch);
  const Balance b = count_balance(ctx, scores, sequences, gate);
  double* terms = data_of<double>(ctx.scratch.tensor("balance.terms", DType::f64, {scores.rows()}));
  double* means =
      data_of<double>(ctx.scratch.tensor("balance.means", DType::f64, {sequences.count()}));
  token_terms<<<blocks_for(scores.rows(), kWarps), kThreads, 0, stream_of(ctx)>>>(b, gate, terms);
  check_launch();
  sequence_means<<<blocks_for(b.sequences, 1), kThreads, 0, stream_of(ctx)>>>(b, terms, means);
  check_launch();
  add_means<<<1, 1, 0, stream_of(ctx)>>>(means, b.sequences, data_of<double>(sum));
  check_launch();
}

void balance_loss_backward(Context& ctx, Tensor dlogits, Tensor scores, const Sequences& sequences,
                           double coefficient, const RouterParams& params) {
  if (scores.rows() == 0) return;
  const Gate gate = gate_of(params, scores.cols());
  ArenaScope scope(ctx.scratch);
  const Balance b = count_balance(ctx, scores, sequences, gate);
  balance_gradient<<<blocks_for(scores.rows(), kWarps), kThreads, 0, stream_of(ctx)>>>(
      b, gate, rows_of<float>(dlogits), coefficient);
  check_launch();
}

}  // namespace temper::cuda
