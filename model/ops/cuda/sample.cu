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
constexpr int kEdges = 8, kCandidates = kThreads, kBuckets = 32;
struct Shared {
  double parts[kWarps];   // sums of the warps' stretches, or of their threads' pieces
  double values[kWarps];  // of block-wide reductions
  int found, last;
  // Of a search's passes, by warps and of all: what each part adds up to, and what lies below.
  double sums[kWarps][kEdges + 1], total[kEdges + 1];
  int counts[kWarps][kEdges], count[kEdges];
  // Tokens among which the last one to be kept is, and those of them in one bucket.
  int candidates, chosen;
  float logit[kCandidates];
  int id[kCandidates], place[kCandidates];
  unsigned long long adds[kCandidates], buckets[kBuckets], more[kWarps];
};

// A row of logits under one temperature. weight(v) = exp(z_v - max z), to the rounding of f32.
struct Row {
  const float* logits;
  int size;
  double inverse;  // of the temperature
  double max;      // of the logits
  float min;
  double scale;  // inverse * log2(e)

  __device__ double shifted(int v) const {
    return (static_cast<double>(logits[v]) - max) * inverse;
  }
  // Whole numbers are read from the last bits of a sum with 1.5 * 2^52: conversions are slow.
  __device__ float weight(int v) const {
    const double t = (static_cast<double>(logits[v]) - max) * scale;
    const double rounded = t + 0x1.8p52, whole = rounded - 0x1.8p52;
    if (whole < -125.0) return 0.0F;
    const float power = __int_as_float((__double2loint(rounded) + 127) << 23);
    return exp2f(static_cast<float>(t - whole)) * power;
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

__device__ void find_ends(Row& row, Shared& shared) {
  float best = -INFINITY, least = INFINITY;
#pragma unroll 8
  for (int v = threadIdx.x; v < row.size; v += kThreads) {
    best = fmaxf(best, row.logits[v]);
    least = fminf(least, row.logits[v]);
  }
  best = warp_max(best), least = -warp_max(-least);
  __syncthreads();
  if (threadIdx.x % 32 == 0)
    shared.values[threadIdx.x / 32] = best, shared.parts[threadIdx.x / 32] = least;
  __syncthreads();
  for (int w = 0; w < kWarps; ++w) {
    best = fmaxf(best, static_cast<float>(shared.values[w]));
    least = fminf(least, static_cast<float>(shared.parts[w]));
  }
  row.max = best, row.min = least;
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

// Logits between which the last token is that a filter keeps: those of `above` or more add up to
// `before`, too little, and those of `lowest` or more, `count` of them below `above`, reach it.
struct Stretch {
  float lowest, above;
  double before;
  int count;

  __device__ float top(const Row& row) const { return fminf(static_cast<float>(row.max), above); }
  // The lower end of one of eight parts, from the top downwards.
  __device__ float edge(const Row& row, int i) const {
    const float width = (top(row) - lowest) / kEdges;
    return i == kEdges - 1 ? lowest : fmaxf(top(row) - width * static_cast<float>(i + 1), lowest);
  }
};

// All within `depth` of the largest logit.
__device__ Stretch whole_stretch(const Row& row, double depth) {
  return {fmaxf(row.min, static_cast<float>(row.max - depth)), INFINITY, 0.0, row.size};
}

// What each part of the stretch adds up to; with kBelow also what lies below it, NaN with it.
template <bool kBelow>
__device__ __noinline__ void measure(const Stretch& s, const Row& row, Shared& shared,
                                     const Part& what) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const float lowest = s.lowest, above = s.above;
  float edges[kEdges];
  double sums[kEdges + 1] = {};
  int counts[kEdges] = {};
  for (int i = 0; i < kEdges; ++i) edges[i] = s.edge(row, i);
#pragma unroll 4
  for (int v = threadIdx.x; v < row.size; v += kThreads) {
    const float own = row.logits[v];
    const bool below = !(own >= lowest);
    if (own >= above || (!kBelow && below)) continue;
    const double adds = what(row, v);
    if (kBelow && below) sums[kEdges] += adds;
#pragma unroll
    for (int i = 0; i < kEdges; ++i)
      if (own >= edges[i] && (i == 0 || own < edges[i - 1])) sums[i] += adds, ++counts[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i <= kEdges; ++i) {
    const double sum = warp_sum_wide(sums[i]);
    if (lane == 0) shared.sums[warp][i] = sum;
    if (i == kEdges) break;
    const int count = __reduce_add_sync(kAll, counts[i]);
    if (lane == 0) shared.counts[warp][i] = count;
  }
  __syncthreads();
  if (warp <= kEdges) {
    const double sum = warp_sum_wide(shared.sums[lane][warp]);
    const int count = warp < kEdges ? __reduce_add_sync(kAll, shared.counts[lane][warp]) : 0;
    if (lane == 0) shared.total[warp] = sum;
    if (lane == 0 && warp < kEdges) shared.count[warp] = count;
  }
  __syncthreads();
}

// Takes the part with the target in it; false if all of the stretch does not reach it.
__device__ bool choose(Stretch& s, const Row& row, const Shared& shared, double target) {
  double before = s.before;
  for (int i = 0; i < kEdges; ++i) {
    if (before + shared.total[i] >= target) {
      s = {s.edge(row, i), i > 0 ? s.edge(row, i - 1) : s.above, before, shared.count[i]};
      return true;
    }
    before += shared.total[i];
  }
  return false;
}

// What a candidate adds, in a unit so small that sums, exact in any order, are as good as others.
__device__ unsigned long long fixed(double adds) {
  return static_cast<unsigned long long>(adds * 0x1p44);
}

// The place of the candidate with which the target is reached, in the order of logits and ids; -1
// where rounding leaves it unreached. First the bucket, then the candidate in it.
__device__ int find_last(const Stretch& s, const Row& row, Shared& shared, double target) {
  const int lane = threadIdx.x % 32, me = threadIdx.x, count = shared.candidates;
  const float top = s.top(row), width = (top - s.lowest) / kBuckets;
  const auto upto = [&](unsigned long long sum) {
    return s.before + static_cast<double>(sum) * 0x1p-44;
  };
  const float logit = me < count ? shared.logit[me] : 0.0F;
  const float part = width > 0.0F ? (top - logit) / width : 0.0F;
  const int bucket = min(static_cast<int>(part), kBuckets - 1);
  if (me < count) atomicAdd(&shared.buckets[bucket], shared.adds[me]);
  __syncthreads();
  unsigned long long before = shared.buckets[lane];
  for (int offset = 1; offset < 32; offset *= 2) {
    const unsigned long long other = __shfl_up_sync(kAll, before, offset);
    if (lane >= offset) before += other;
  }
  const unsigned reached = __ballot_sync(kAll, upto(before) >= target);
  if (reached == 0) return -1;
  const int chosen = __ffs(static_cast<int>(reached)) - 1;
  before = __shfl_sync(kAll, before - shared.buckets[lane], chosen);
  const bool in = me < count && bucket == chosen;
  if (in) shared.place[atomicAdd(&shared.chosen, 1)] = me;
  __syncthreads();
  if (in) {
    for (int i = 0; i < shared.chosen; ++i) {
      const int other = shared.place[i];
      const bool first = shared.logit[other] > logit ||
                         (shared.logit[other] == logit && shared.id[other] < shared.id[me]);
      if (first) before += shared.adds[other];
    }
    if (upto(before) < target && upto(before + shared.adds[me]) >= target) shared.found = me;
  }
  __syncthreads();
  return shared.found;
}

// Brings the tokens of the stretch together, and into shared.parts what lies above it.
__device__ void collect(const Stretch& s, const Row& row, Shared& shared, const Part& what) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, stretch = stretch_of(row);
  const int end = min((warp + 1) * stretch, row.size);
  if (threadIdx.x == 0) shared.candidates = shared.chosen = 0, shared.found = -1;
  if (warp == 0) shared.buckets[lane] = shared.more[lane] = 0;
  __syncthreads();
  double sum = 0.0;
#pragma unroll 4
  for (int v = warp * stretch + lane; v < end; v += 32) {
    const float own = row.logits[v];
    if (own < s.lowest) continue;
    const double adds = what(row, v);
    if (own >= s.above) {
      sum += adds;
      continue;
    }
    const int at = atomicAdd(&shared.candidates, 1);
    shared.logit[at] = own, shared.id[at] = v, shared.adds[at] = fixed(adds);
  }
  sum = warp_sum_wide(sum);
  if (lane == 0) shared.parts[warp] = sum;
  __syncthreads();
}

// Adds the candidates up to `found` to shared.parts; the sum of all.
__device__ double add_candidates(const Row& row, Shared& shared, int found) {
  const int me = threadIdx.x, lane = me % 32;
  if (me < shared.candidates) {
    const float logit = shared.logit[me], last = shared.logit[found];
    if (logit > last || (logit == last && shared.id[me] <= shared.id[found]))
      atomicAdd(&shared.more[shared.id[me] / stretch_of(row)], shared.adds[me]);
  }
  __syncthreads();
  if (me < kWarps) shared.parts[lane] += static_cast<double>(shared.more[lane]) * 0x1p-44;
  __syncthreads();
  double total = 0.0;
  for (int w = 0; w < kWarps; ++w) total += shared.parts[w];
  return total;
}

// The quick way of keep_likeliest: eight parts a pass until few tokens are left. Less than 0, with
// nothing done, where it finds none: more than so many equal logits, a target that rounding leaves
// unreached, or one that lies further down than `s`, of which the first pass may be `measured`.
__device__ __noinline__ double keep_quickly(Part& kept, const Row& row, Shared& shared,
                                            double target, Stretch s, bool measured) {
  for (int pass = 0; pass == 0 || s.count > kCandidates; ++pass) {
    if (pass == 8) return -1.0;
    if (pass > 0 || !measured) measure<false>(s, row, shared, kept);
    if (!choose(s, row, shared, target)) return -1.0;
  }
  collect(s, row, shared, kept);
  const int found = find_last(s, row, shared, target);
  if (found < 0) return -1.0;
  kept.lowest = kept.edge = row.key(shared.id[found]), kept.last = shared.id[found];
  return add_candidates(row, shared, found);
}

// Narrows `kept` to the fewest likeliest tokens of it that reach `target` together; among those of
// equal logits the smallest ids. They are likely in the stretch. Returns and leaves what sum_of
// does.
__device__ double keep_likeliest(Part& kept, const Row& row, Shared& shared, double target,
                                 const Stretch& likely, bool measured) {
  const double sum = keep_quickly(kept, row, shared, target, likely, measured);
  if (sum >= 0.0) return sum;
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
  return sum_of(row, shared, kept);
}

struct Rule {
  double temperature, top_k, top_p, min_p;

  __device__ bool greedy() const { return temperature <= 0.0; }
  __device__ bool cuts_number(const Row& row) const { return top_k > 0.0 && top_k < row.size; }
  __device__ bool cuts() const { return !greedy() && (top_k > 0.0 || top_p < 1.0 || min_p > 0.0); }
  // Below this all tokens together weigh less than what top_p leaves out.
  __device__ Stretch of_mass(const Row& row) const {
    return whole_stretch(row, log(row.size / (1.0 - top_p)) / row.inverse);
  }
};

// The sum of all weights; where top_p alone cuts, with the first pass of its search.
__device__ double sum_of_all(const Rule& rule, const Row& row, Shared& shared) {
  if (rule.greedy() || rule.cuts_number(row) || rule.top_p >= 1.0) return sum_of(row, shared, {});
  measure<true>(rule.of_mass(row), row, shared, {});
  double sum = 0.0;
  for (int i = 0; i <= kEdges; ++i) sum += shared.total[i];
  return sum;
}

// What the rule leaves, and into `mass` what that adds up to, as sum_of does.
__device__ Part filter(const Rule& rule, const Row& row, Shared& shared, double& mass) {
  Part kept;
  const bool by_number = rule.cuts_number(row);
  if (by_number) {
    kept.counted = true;
    keep_likeliest(kept, row, shared, rule.top_k, whole_stretch(row, 32.0 / row.inverse), false);
    kept.counted = false;
    mass = sum_of(row, shared, kept);
  }
  // What rounding lets the sum of all fall short of must not cut the search short.
  if (rule.top_p < 1.0)
    mass = keep_likeliest(kept, row, shared, rule.top_p * mass * (1.0 - 1e-14), rule.of_mass(row),
                          !by_number);
  kept.floor = static_cast<float>(rule.min_p);
  if (rule.min_p > 0.0) mass = sum_of(row, shared, kept);
  return kept;
}

// A bit a token of the vocabulary: whether `kept` has it; none without `kept`.
__device__ void list_kept(uint32_t* words, const Row& row, const Part* kept) {
  const int lane = threadIdx.x % 32;
  for (int w = threadIdx.x / 32; w * 32 < row.size; w += kWarps) {
    const int v = w * 32 + lane;
    const unsigned bits =
        __ballot_sync(kAll, kept != nullptr && v < row.size && (*kept)(row, v) > 0.0);
    if (lane == 0) words[w] = bits;
  }
}

struct Draws {
  Rows<float> logits;
  const int32_t* row;
  const double* uniform;
  const Rule* rules;
  int32_t* token;
  double* numbers;
  Rows<int32_t> kept;  // or null
  bool entropy;
};

__global__ void __launch_bounds__(kThreads) sample_kernel(Draws draws) {
  follow();
  __shared__ Shared shared;
  const int64_t draw = blockIdx.x;
  const Rule rule = draws.rules[draw];
  const bool greedy = rule.greedy();
  const double inverse = greedy ? 1.0 : 1.0 / rule.temperature;
  Row row{draws.logits.row(draws.row[draw]),
          static_cast<int>(draws.logits.cols),
          inverse,
          0.0,
          0.0F,
          inverse * kLog2E};
  find_ends(row, shared);
  const double moment = draws.entropy ? moment_of(row, shared) : 0.0;
  const double sum = sum_of_all(rule, row, shared);
  const bool finite = isfinite(sum) && isfinite(row.max);  // searches by parts pass an infinite top
  int token = greedy && finite ? find_argmax(row, shared) : 0;
  double mass = sum;  // of what is drawn from
  Part kept;
  const bool cut = finite && rule.cuts();
  if (cut) kept = filter(rule, row, shared, mass);
  if (finite && !greedy) token = locate(row, shared, draws.uniform[draw] * mass, kept);
  if (draws.kept)
    list_kept(reinterpret_cast<uint32_t*>(draws.kept.row(draw)), row, cut ? &kept : nullptr);
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
  const Draws all{
      rows_of<float>(logits),         data_of<int32_t>(draws.row),
      data_of<double>(draws.uniform), reinterpret_cast<const Rule*>(data_of<double>(draws.rules)),
      data_of<int32_t>(out.token),    data_of<double>(out.numbers),
      rows_of<int32_t>(out.kept),     draws.entropy};
  launch_following(ctx, sample_kernel, {blocks_for(draws.row.numel(), 1), kThreads}, all);
}

void follow_draws(Context& ctx, Tensor ids, Tensor tokens) {
  if (ids.numel() == 0) return;
  launch_following(ctx, follow_kernel, {blocks_for(ids.numel(), 256), 256}, data_of<int32_t>(ids),
                   data_of<int32_t>(tokens), ids.numel());
}

}  // namespace temper::cuda
