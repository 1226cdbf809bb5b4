#include "model/ops/cuda/sample.h"

#include <climits>

#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 1024, kWarps = kThreads / 32;
constexpr unsigned kAll = 0xffffffffU;
constexpr double kLog2E = 1.4426950408889634074;

// One block draws one token. Each warp owns an equal stretch of the vocabulary, so a
// sum's parts are in the order of ids and the token of a number is found by walking down them.
struct Shared {
  double parts[kWarps];   // sums of the warps' stretches, or of their threads' pieces
  double values[kWarps];  // of block-wide reductions
  int found, last;
};

// A row of logits under one temperature. weight(v) = exp(z_v - max z), to the rounding of f32.
struct Row {
  const float* logits;
  int size;
  double inverse;  // of the temperature
  double max;      // of the logits

  __device__ double shifted(int v) const {
    return (static_cast<double>(logits[v]) - max) * inverse;
  }
  __device__ float weight(int v) const {
    const double t = shifted(v) * kLog2E, whole = rint(t);
    if (whole < -125.0) return 0.0F;
    return ldexpf(exp2f(static_cast<float>(t - whole)), static_cast<int>(whole));
  }
  // Ascends with the logit; equal logits, -0 and 0 among them, have equal keys.
  __device__ uint32_t key(int v) const {
    const uint32_t bits = __float_as_uint(logits[v] + 0.0F);
    return bits >> 31 ? ~bits : bits | 0x80000000U;
  }
};

// The tokens with keys of [lowest, highest], of those equal to `edge` only the ids up to `last`,
// and what each adds to a sum: its weight if that is at least `floor`, or 1.
struct Part {
  uint32_t lowest = 0, highest = UINT_MAX, edge = 0;
  int last = INT_MAX;
  float floor = 0.0F;
  bool counted = false;

  __device__ double operator()(const Row& row, int v) const {
    const uint32_t key = row.key(v);
    if (key < lowest || key > highest || (key == edge && v > last)) return 0.0;
    if (counted) return 1.0;
    const float weight = row.weight(v);
    return weight < floor ? 0.0 : static_cast<double>(weight);  // NaN shows in the sum
  }
};

__device__ double warp_sum_wide(double x) {
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(kAll, x, offset);
  return x;
}

__device__ double block_sum_wide(double x, Shared& shared) {
  x = warp_sum_wide(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared.values[threadIdx.x / 32] = x;
  __syncthreads();
  double total = 0.0;
  for (int w = 0; w < kWarps; ++w) total += shared.values[w];
  return total;
}

__device__ void find_max(Row& row, Shared& shared) {
  float best = -INFINITY;
#pragma unroll 8
  for (int v = threadIdx.x; v < row.size; v += kThreads) best = fmaxf(best, row.logits[v]);
  best = warp_max(best);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared.values[threadIdx.x / 32] = best;
  __syncthreads();
  for (int w = 0; w < kWarps; ++w) best = fmaxf(best, static_cast<float>(shared.values[w]));
  row.max = best;
}

// The first id of the largest logit.
__device__ int find_argmax(const Row& row, Shared& shared) {
  if (threadIdx.x == 0) shared.found = INT_MAX;
  __syncthreads();
  for (int v = threadIdx.x; v < row.size; v += kThreads) {
    if (static_cast<double>(row.logits[v]) < row.max) continue;
    atomicMin(&shared.found, v);
    break;
  }
  __syncthreads();
  const int found = shared.found;
  __syncthreads();
  return found;
}

__device__ int stretch_of(const Row& row) {
  return (row.size + kWarps - 1) / kWarps;
}

// The sum of the part; shared.parts gets those of the stretches.
__device__ __noinline__ double sum_of(const Row& row, Shared& shared, const Part& part) {
  const int warp = threadIdx.x / 32, stretch = stretch_of(row);
  const int end = min((warp + 1) * stretch, row.size);
  double sum = 0.0;
#pragma unroll 4
  for (int v = warp * stretch + static_cast<int>(threadIdx.x % 32); v < end; v += 32)
    sum += part(row, v);
  sum = warp_sum_wide(sum);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared.parts[warp] = sum;
  __syncthreads();
  double total = 0.0;
  for (int w = 0; w < kWarps; ++w) total += shared.parts[w];
  return total;
}

// The sum of weight * (z - max z).
__device__ double moment_of(const Row& row, Shared& shared) {
  double sum = 0.0;
  for (int v = threadIdx.x; v < row.size; v += kThreads) {
    const double weight = row.weight(v);
    if (weight > 0.0) sum += weight * row.shifted(v);
  }
  return block_sum_wide(sum, shared);
}

// The first token of `what` with sum before it <= target < that sum + its own, or where rounding
// leaves a rest the last one that adds anything. shared.parts has sum_of(what)'s; it is used up.
__device__ __noinline__ int locate(const Row& row, Shared& shared, double target,
                                   const Part& what) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, stretch = stretch_of(row);
  int part = 0;
  for (int w = 0; w < kWarps; ++w)
    if (shared.parts[w] > 0.0) part = w;  // the last that has weight
  for (int w = 0; w < part; ++w) {
    if (target < shared.parts[w]) {
      part = w;
    } else {
      target -= shared.parts[w];
    }
  }
  // Each thread takes a piece of the stretch; a scan says what lies before it.
  const int piece = (stretch + kThreads - 1) / kThreads;
  const int begin = part * stretch + static_cast<int>(threadIdx.x) * piece;
  const int end = min(min(begin + piece, (part + 1) * stretch), row.size);
  double own = 0.0;
  for (int v = begin; v < end; ++v) own += what(row, v);
  double upto = own;
  for (int offset = 1; offset < 32; offset *= 2) {
    const double below = __shfl_up_sync(kAll, upto, offset);
    if (lane >= offset) upto += below;
  }
  __syncthreads();  // all have read the parts
  if (lane == 31) shared.parts[warp] = upto;
  if (threadIdx.x == 0) shared.found = INT_MAX, shared.last = -1;
  __syncthreads();
  double before = upto - own;
  for (int w = 0; w < warp; ++w) before += shared.parts[w];
  for (int v = begin; v < end; ++v) {
    const double adds = what(row, v);
    if (adds <= 0.0) continue;
    atomicMax(&shared.last, v);
    if (target < before + adds) {
      atomicMin(&shared.found, v);
      break;
    }
    before += adds;
  }
  __syncthreads();
  const int found = shared.found, last = shared.last;
  __syncthreads();
  return found < INT_MAX ? found : max(last, 0);
}

// The largest key from which on upwards the tokens of `what` reach `target` together; two bits a
// pass, from the top. Needs their sum to reach the target.
__device__ __noinline__ uint32_t threshold(const Row& row, Shared& shared, double target,
                                           const Part& what) {
  uint32_t key = 0;
  for (int shift = 30; shift >= 0; shift -= 2) {
    double sums[3] = {};
    for (int v = threadIdx.x; v < row.size; v += kThreads) {
      const uint32_t own = row.key(v);
      if (own < (key | 1U << shift)) continue;
      const double adds = what(row, v);
#pragma unroll
      for (int i = 0; i < 3; ++i)
        if (own >= (key | static_cast<uint32_t>(i + 1) << shift)) sums[i] += adds;
    }
    uint32_t reached = 0;
#pragma unroll
    for (int i = 0; i < 3; ++i)
      if (block_sum_wide(sums[i], shared) >= target) reached = static_cast<uint32_t>(i + 1);
    key |= reached << shift;
  }
  return key;
}

// Narrows `kept` to the fewest likeliest tokens of it that reach `target` together; among those of
// equal logits the smallest ids.
__device__ void keep_likeliest(Part& kept, const Row& row, Shared& shared, double target) {
  const uint32_t key = threshold(row, shared, target, kept);
  Part above = kept, tied = kept;
  above.lowest = key < UINT_MAX ? key + 1 : key;
  tied.lowest = tied.highest = key;
  const double before = sum_of(row, shared, above), equal = sum_of(row, shared, tied);
  tied.counted = true;
  const double count = sum_of(row, shared, tied);  // leaves the parts for locate
  const double needed = ceil((target - before) / (equal / count));
  kept.last = locate(row, shared, fmin(fmax(needed, 1.0), count) - 1.0, tied);
  kept.lowest = kept.edge = key;
}

struct Rule {
  double temperature, top_k, top_p, min_p;
};

__device__ Part filter(const Rule& rule, const Row& row, Shared& shared, double sum) {
  Part kept;
  double mass = sum;
  if (rule.top_k > 0.0 && rule.top_k < row.size) {
    kept.counted = true;
    keep_likeliest(kept, row, shared, rule.top_k);
    kept.counted = false;
    mass = sum_of(row, shared, kept);
  }
  // What rounding lets the sum of all fall short of must not cut the search short.
  if (rule.top_p < 1.0) keep_likeliest(kept, row, shared, rule.top_p * mass * (1.0 - 1e-14));
  kept.floor = static_cast<float>(rule.min_p);
  return kept;
}

struct Draws {
  Rows<float> logits;
  const int32_t* row;
  const double* uniform;
  const Rule* rules;
  int32_t* token;
  double* numbers;
  bool entropy;
};

__global__ void __launch_bounds__(kThreads) sample_kernel(Draws draws) {
  follow();
  __shared__ Shared shared;
  const int64_t draw = blockIdx.x;
  const Rule rule = draws.rules[draw];
  const bool greedy = rule.temperature <= 0.0;
  Row row{draws.logits.row(draws.row[draw]), static_cast<int>(draws.logits.cols),
          greedy ? 1.0 : 1.0 / rule.temperature, 0.0};
  find_max(row, shared);
  const double moment = draws.entropy ? moment_of(row, shared) : 0.0;
  const double sum = sum_of(row, shared, {});
  const bool finite = isfinite(sum);
  int token = greedy && finite ? find_argmax(row, shared) : 0;
  double mass = sum;  // of what is drawn from
  if (finite && !greedy) {
    Part kept;
    if (rule.top_k > 0.0 || rule.top_p < 1.0 || rule.min_p > 0.0) {
      kept = filter(rule, row, shared, sum);
      mass = sum_of(row, shared, kept);
    }
    token = locate(row, shared, draws.uniform[draw] * mass, kept);
  }
  if (threadIdx.x > 0) return;
  double* numbers = draws.numbers + draw * kNumberColumns;
  draws.token[draw] = finite ? token : -1;
  numbers[0] = finite ? row.shifted(token) - log(sum) : 0.0;
  numbers[1] = finite && !greedy ? row.shifted(token) - log(mass) : 0.0;
  numbers[2] = finite && draws.entropy ? log(sum) - moment / sum : 0.0;
}

__global__ void follow_kernel(int32_t* ids, const int32_t* tokens, int64_t count) {
  follow();
  const int64_t n = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (n < count && ids[n] < 0) ids[n] = max(0, tokens[-1 - ids[n]]);
}

}  // namespace

void sample(Context& ctx, const SampleOutputs& out, Tensor logits, const SampleDraws& draws) {
  if (draws.row.numel() == 0) return;
  require(draws.rules.contiguous() && out.numbers.contiguous(), "sample: strided numbers");
  static_assert(sizeof(Rule) == kRuleColumns * sizeof(double));
  const Draws all{rows_of<float>(logits),
                  data_of<int32_t>(draws.row),
                  data_of<double>(draws.uniform),
                  reinterpret_cast<const Rule*>(data_of<double>(draws.rules)),
                  data_of<int32_t>(out.token),
                  data_of<double>(out.numbers),
                  draws.entropy};
  launch_following(ctx, sample_kernel, {blocks_for(draws.row.numel(), 1), kThreads}, all);
}

void follow_draws(Context& ctx, Tensor ids, Tensor tokens) {
  if (ids.numel() == 0) return;
  launch_following(ctx, follow_kernel, {blocks_for(ids.numel(), 256), 256}, data_of<int32_t>(ids),
                   data_of<int32_t>(tokens), ids.numel());
}

}  // namespace temper::cuda
