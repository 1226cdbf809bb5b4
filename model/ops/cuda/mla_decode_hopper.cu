// A block takes 64 heads of a row over a chunk of its past, then the next such item, in four
// warpgroups: one warp of the last loads the past, 64 tokens at a time, two tiles ahead, and
// another hands out the items and loads their queries; the first warpgroup makes scores and from
// these weights; the two between weigh the latents, 256 columns each. So the scores of a tile are
// made while the one before is weighed.
//
// Where a row has an even number of 64 heads, two blocks that take neighbours share a past: each
// loads half of every tile for both.
#include "model/ops/cuda/mla_decode_hopper.h"

#include "model/ops/cuda/bulk_copy.h"
#include "model/ops/cuda/decode_split.h"
#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/early.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/quad.h"
#include "model/ops/cuda/tensor_map.h"
#include "model/ops/cuda/warp_arrival.h"
#include "model/ops/cuda/wgmma.h"

namespace temper::cuda {
namespace {

constexpr int kHeads = 64, kLatent = 512, kRope = 64;
constexpr int kPage = 16;  // tokens that surely lie next to each other
constexpr int kBoxes = (kLatent + kRope) / kLine, kStages = 2;
constexpr int kTileBytes = kBoxes * kBoxBytes;
constexpr int kSharedBytes =
    (1 + kStages) * kTileBytes + kBoxBytes + 1024;  // 1024: swizzled boxes are aligned so
constexpr int kThreads = 512;

struct Problem {
  Rows<Narrow> o;  // [N * H, 512]
  Rows<int32_t> table;
  const int32_t *sequence, *length;
  int block_size;
  int cache_rows;           // blocks * block_size
  int rows, heads, groups;  // groups: of the heads that blocks at work together take
  float scale;              // times log2(e)
  Split split;
  Parts parts;
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

constexpr int kTokens = 64;  // of a tile
// A tile's columns come in three parts with a barrier each: scores begin with the first.
constexpr int kThirds = 3, kThird = kBoxes / kThirds;
constexpr int kScoreWarps = 4, kValueWarps = 8;

struct Item {
  int row, head;  // head: the first; row -1: no more items
  int sequence;
  int first, tokens;  // of the past
  int part;           // row * most + chunk, or -1: the row has one chunk
};

struct Shared {
  uint64_t full[kStages][kThirds], empty[kStages];  // tiles of the past
  uint64_t query_full, query_empty;
  uint64_t weights_full, weights_empty;
  uint64_t told[2], heard[2];  // of `items`
  Item items[2];
  float factor[kHeads];   // what a head's sums are worth under the tile's top
  float inverse[kHeads];  // of the sum of a head's weights, with an item's last tile
};

struct Memory {
  unsigned char *queries, *ring, *weights;  // [9 boxes], [stages][9 boxes], [1 box]
  __device__ unsigned char* tile(int stage) const { return ring + stage * kTileBytes; }
};

struct Ring {
  int stage = 0;
  unsigned parity = 0;
  __device__ void advance() {
    if (++stage == kStages) stage = 0, parity ^= 1;
  }
};

// ---- Items
// Walks through the items; indices only grow. A whole warp calls it.
struct Schedule {
  const Problem& p;
  int first_row = 0, before = 0;  // pieces of the rows before first_row

  __device__ int length(int row) const {
    const int length = p.length[row];
    if (length <= 0 || length > p.table.cols * p.block_size) __trap();  // not in the table
    return length;
  }
  // The row and the chunk of a piece of all rows' pasts.
  __device__ int2 find(int piece) {
    const int lane = threadIdx.x % 32;
    if (p.split.most == 1) return make_int2(piece, 0);
    for (; first_row < p.rows; first_row += 32) {
      const int row = first_row + lane;
      const int count = row < p.rows ? chunks_of(length(row), p.split.chunk) : 0;
      int end = count;
#pragma unroll
      for (int d = 1; d < 32; d *= 2) {
        const int below = __shfl_up_sync(0xffffffffU, end, d);
        if (lane >= d) end += below;
      }
      const unsigned behind = __ballot_sync(0xffffffffU, before + end > piece);
      if (behind != 0) {
        const int at = __ffs(static_cast<int>(behind)) - 1;
        return make_int2(first_row + at,
                         piece - before - __shfl_sync(0xffffffffU, end - count, at));
      }
      before += __shfl_sync(0xffffffffU, end, 31);
    }
    return make_int2(p.rows, 0);
  }
  __device__ Item item(int index, int pair, int rank) {
    const int2 at = find(index / p.groups);
    if (at.x >= p.rows) return {-1, 0, 0, 0, 0, 0};
    const int sequence = p.sequence[at.x], all = length(at.x), first = at.y * p.split.chunk;
    const int part = all > p.split.chunk ? at.x * p.split.most + at.y : -1;
    return {at.x,  (index % p.groups * pair + rank) * kHeads, sequence,
            first, min(p.split.chunk, all - first),           part};
  }
};

__device__ Item hear(Shared& shared, int n) {
  wait(&shared.told[n % 2], n / 2 & 1);
  const Item item = shared.items[n % 2];
  arrive_as_warp(&shared.heard[n % 2]);
  return item;
}

// ---- Loads, a warp each
template <int kPair>
__device__ void hand_out(Shared& shared, const Memory& memory, const Problem& p,
                         const CUtensorMap& latent, const CUtensorMap& rope) {
  const int lane = threadIdx.x % 32, rank = kPair > 1 ? static_cast<int>(cluster_rank()) : 0;
  Schedule schedule{p};
  int index = blockIdx.x / kPair;
  for (int n = 0;; ++n, index += gridDim.x / kPair) {
    const Item item = schedule.item(index, kPair, rank);
    wait(&shared.heard[n % 2], (n / 2 & 1) ^ 1);
    if (lane == 0) {
      shared.items[n % 2] = item;
      arrive(&shared.told[n % 2]);
    }
    if (n == 0) wait_for_earlier();  // also where there is nothing to do
    if (item.row < 0) return;
    wait(&shared.query_empty, (n & 1) ^ 1);
    if (lane == 0) arrive_expecting(&shared.query_full, kTileBytes);
    __syncwarp();
    if (lane < kBoxes)  // heads that there are not become zeros
      load_box(memory.queries + lane * kBoxBytes, lane < kBoxes - 1 ? latent : rope,
               &shared.query_full, lane < kBoxes - 1 ? lane * kLine : 0, item.head, item.row);
  }
}

// Where a page of the past begins among the cache's tokens; behind the item's end: behind the
// cache, which reads as zeros.
__device__ inline int place_of(const Problem& p, const int32_t* blocks, const Item& item, int at) {
  if (at >= item.tokens) return p.cache_rows;
  const int token = item.first + at;
  return blocks[token / p.block_size] * p.block_size + token % p.block_size;
}

template <int kPair>
__device__ void load_past(Shared& shared, const Memory& memory, const Problem& p,
                          const CUtensorMap& cache) {
  constexpr int kPages = kTokens / kPage / kPair, kMine = kPages * kBoxes;
  const int lane = threadIdx.x % 32, rank = kPair > 1 ? static_cast<int>(cluster_rank()) : 0;
  const int page = rank * kPages + lane % kPages;  // 32 is a multiple of kPages
  Ring ring;
  for (int n = 0;; ++n) {
    const Item item = hear(shared, n);
    if (item.row < 0) return;
    const int32_t* blocks = p.table.row(item.sequence);
    for (int first = 0; first < item.tokens; first += kTokens, ring.advance()) {
      // The newest token alone is of a kernel before: what is older may come earlier.
      if (n > 0 || first + kTokens >= item.tokens) wait_for_earlier();
      const int from = place_of(p, blocks, item, first + page * kPage);
      wait(&shared.empty[ring.stage], ring.parity ^ 1);
      uint64_t* full = shared.full[ring.stage];
      if (lane < kThirds) arrive_expecting(full + lane, kThird * kBoxBytes);
      __syncwarp();
      for (int box = lane; box < kMine; box += 32) {
        const int col = box / kPages;
        unsigned char* to = memory.tile(ring.stage) + col * kBoxBytes + page * kPage * kLine * 2;
        uint64_t* third = full + col / kThird;
        if constexpr (kPair > 1) load_box_to(to, cache, third, col * kLine, from, 0, 3);
        if constexpr (kPair == 1) load_box(to, cache, third, col * kLine, from, 0);
      }
    }
  }
}

// ---- Scores and weights, a warpgroup
// A thread has two heads, with 16 scores each. A head's top follows the largest score only when
// that is far above: weights of up to 2^kSlack do no harm, and sums seldom need a new scale.
constexpr float kSlack = 8.0F;

struct Softmax {
  float scale = 0.0F;
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0F, 0.0F};

  // Scores become weights; `factor` is what the sums before are worth under the new top.
  __device__ void weigh(float (&s)[32], float (&factor)[2]) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float most = s[2 * h];
#pragma unroll
      for (int j = 0; j < 8; ++j) most = fmaxf(most, fmaxf(s[4 * j + 2 * h], s[4 * j + 2 * h + 1]));
      most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, 1));
      most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, 2)) * scale;
      factor[h] = 1.0F;
      if (most > top[h] + kSlack) {
        factor[h] = exp2_fast(top[h] - most);
        top[h] = most;
      }
      float sums[2] = {sum[h] * factor[h], 0.0F};
#pragma unroll
      for (int j = 0; j < 16; ++j) {
        float& x = s[j / 2 * 4 + 2 * h + j % 2];
        sums[j % 2] += x = exp2_fast(x * scale - top[h]);
      }
      sum[h] = sums[0] + sums[1];
    }
  }
  // The sum of all of a head's weights.
  __device__ float total(int h) const {
    const float two = sum[h] + __shfl_xor_sync(0xffffffffU, sum[h], 1);
    return two + __shfl_xor_sync(0xffffffffU, two, 2);
  }
};

__device__ void mask(float (&s)[32], int tokens) {
#pragma unroll
  for (int j = 0; j < 32; ++j)
    if (j / 4 * 8 + threadIdx.x % 4 * 2 + j % 2 >= tokens) s[j] = -INFINITY;
}

// What a page holds behind the past's end must not count, not even as 0 * NaN: the latents become
// zeros.
__device__ void clear_tail(unsigned char* tile, int tokens) {
  constexpr int kPacks = kLine * 2 / 16;
  const int rows = -tokens & (kPage - 1);
  for (int i = threadIdx.x; i < (kBoxes - 1) * rows * kPacks; i += 128) {
    const int box = i / (rows * kPacks), pack = i % (rows * kPacks);
    *reinterpret_cast<uint4*>(tile + box * kBoxBytes + tokens * kLine * 2 + pack * 16) =
        make_uint4(0, 0, 0, 0);
  }
}

// Weights as a left operand: a line of 64 tokens a head, 128 bytes swizzled.
__device__ void store_weights(unsigned char* to, const float (&s)[32]) {
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane % 16;
#pragma unroll
  for (int j = 0; j < 8; j += 2) {
    const unsigned p[4] = {pack_pair<Narrow>(s[4 * j], s[4 * j + 1]),
                           pack_pair<Narrow>(s[4 * j + 2], s[4 * j + 3]),
                           pack_pair<Narrow>(s[4 * j + 4], s[4 * j + 5]),
                           pack_pair<Narrow>(s[4 * j + 6], s[4 * j + 7])};
    store_matrices(to + row * kLine * 2 + (((j + lane / 16) ^ (row % 8)) * 16), p);
  }
}

// What an item's last tile brings along: the weights' sums.
__device__ void finish(Shared& shared, const Problem& p, const Item& item, const Softmax& softmax,
                       int row) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const float total = softmax.total(h);
    const int head = item.head + row + 8 * h;
    if (threadIdx.x % 4 > 0) continue;
    shared.inverse[row + 8 * h] = 1.0F / total;
    if (item.part >= 0 && head < p.heads)
      p.parts.lse[int64_t{item.part} * p.heads + head] = softmax.top[h] + log2f(total);
  }
}

// Begins s = q k^T for the tile of a stage.
__device__ void begin_scores(Shared& shared, float (&s)[32], uint64_t q, uint64_t k, Ring ring) {
#pragma unroll
  for (int i = 0; i < kBoxes * 4; ++i) {
    if (i % (kThird * 4) == 0) {
      wait(&shared.full[ring.stage][i / (kThird * 4)], ring.parity);
      begin_products();
    }
    const uint64_t at = i / 4 * (kBoxBytes / 16) + i % 4 * kNext16<false>;
    multiply_64<Narrow, false, false>(s, q + at, k + at, i > 0);
  }
  end_products();
}

// The warpgroup that makes scores and weights.
struct Scorer {
  Shared& shared;
  const Memory& memory;
  const Problem& p;
  int row;  // the first of this thread's two
  uint64_t q;
  Item item = {};
  Softmax softmax = {};
  Ring ring = {};
  unsigned parity = 0;  // of the tile

  // Scores of the tile with `left` tokens to the item's end become weights for the others.
  __device__ void soften(float (&s)[32], int left) {
    const bool last = left <= kTokens;
    const int lane = threadIdx.x % 32;
    if (last && lane == 0) arrive(&shared.query_empty);
    if (left < kTokens) {
      mask(s, left);
      clear_tail(memory.tile(ring.stage), left);
    }
    float factor[2];
    softmax.weigh(s, factor);
    wait(&shared.weights_empty, parity ^ 1);
    store_weights(memory.weights, s);
    if (lane % 4 == 0) shared.factor[row] = factor[0], shared.factor[row + 8] = factor[1];
    if (last) finish(shared, p, item, softmax, row);
    fence_shared_writes();
    arrive_as_warp(&shared.weights_full);
    parity ^= 1;
  }

  __device__ void run() {
    for (int n = 0;; ++n) {
      item = hear(shared, n);
      if (item.row < 0) return;
      softmax = Softmax{p.scale};
      wait(&shared.query_full, n & 1);
      for (int left = item.tokens; left > 0; left -= kTokens, ring.advance()) {
        float s[32];
        begin_scores(shared, s, q, operand<false>(memory.tile(ring.stage)), ring);
        wait_products<0>();
        soften(s, left);
      }
    }
  }
};

// ---- Latents by their weights, a warpgroup each half
struct Result {
  const Problem& p;
  Item item;
  int row, col;  // of the item's heads and the latent; this thread's first
  float inverse[2];

  __device__ int head(int h) const { return item.head + row + 8 * h; }
  __device__ void store(const float (&d)[128]) const {
    if (item.head + row / 16 * 16 >= p.heads) return;  // none of the warp's heads
#pragma unroll
    for (int h = 0; h < 2; ++h) item.part < 0 ? store_rounded(d, h) : store_part(d, h);
  }
  __device__ void store_rounded(const float (&d)[128], int h) const {
    const bool valid = head(h) < p.heads;
    Narrow* to = p.o.row(int64_t{item.row} * p.heads + (valid ? head(h) : 0)) + col;
#pragma unroll
    for (int block = 0; block < 8; ++block) {
      unsigned four[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int at = block * 16 + i * 4 + h * 2;
        four[i] = pack_pair<Narrow>(d[at] * inverse[h], d[at + 1] * inverse[h]);
      }
      transpose_four(four);
      if (valid)
        *reinterpret_cast<uint4*>(to + block * 32 + threadIdx.x % 4 * 8) =
            make_uint4(four[0], four[1], four[2], four[3]);
    }
  }
  __device__ void store_part(const float (&d)[128], int h) const {
    if (head(h) >= p.heads) return;
    float* to = p.parts.o + (int64_t{item.part} * p.heads + head(h)) * kLatent + col;
#pragma unroll
    for (int j = 0; j < 32; ++j)
      *reinterpret_cast<float2*>(to + j * 8 + threadIdx.x % 4 * 2) =
          make_float2(d[4 * j + 2 * h] * inverse[h], d[4 * j + 2 * h + 1] * inverse[h]);
  }
};

__device__ void rescale(float (&d)[128], float upper, float lower) {
#pragma unroll
  for (int j = 0; j < 128; j += 4)
    d[j] *= upper, d[j + 1] *= upper, d[j + 2] *= lower, d[j + 3] *= lower;
}

template <int kPair>
__device__ void weigh(Shared& shared, const Memory& memory, const Problem& p) {
  const int half = threadIdx.x / 128 - 1, lane = threadIdx.x % 32;
  const int row = threadIdx.x % 128 / 32 * 16 + lane / 4;
  const uint64_t weights = operand<false>(memory.weights);
  float d[128];
  Ring ring;
  unsigned parity = 0;
  for (int n = 0;; ++n) {
    const Item item = hear(shared, n);
    if (item.row < 0) return;
    Result result{p, item, row, half * (kLatent / 2), {0.0F, 0.0F}};
    for (int first = 0; first < item.tokens; first += kTokens, ring.advance(), parity ^= 1) {
      const uint64_t v =
          operand<true>(memory.tile(ring.stage) + half * (kLatent / 2 / kLine) * kBoxBytes);
      wait(&shared.weights_full, parity);
      const float upper = shared.factor[row], lower = shared.factor[row + 8];
      result.inverse[0] = shared.inverse[row], result.inverse[1] = shared.inverse[row + 8];
      if (first > 0 && __any_sync(0xffffffffU, upper != 1.0F || lower != 1.0F))
        rescale(d, upper, lower);
      begin_products();
#pragma unroll
      for (int i = 0; i < kTokens / 16; ++i) {
        const uint64_t left = weights + i * kNext16<false>, right = v + i * kNext16<true>;
        multiply_64<Narrow, false, true>(half_of(d, 0), left, right, first + i > 0);
        multiply_64<Narrow, false, true>(half_of(d, 1), left, right + 2 * kBoxBytes / 16,
                                         first + i > 0);
      }
      end_products();
      wait_products<0>();
      arrive_as_warp(&shared.weights_empty);
      if (lane < kPair) {
        if constexpr (kPair > 1) arrive_at(&shared.empty[ring.stage], lane);
        if constexpr (kPair == 1) arrive(&shared.empty[ring.stage]);
      }
    }
    result.store(d);
  }
}

#endif

template <int kPair>
__global__ void __launch_bounds__(kThreads, 1)
    mla_decode(const __grid_constant__ CUtensorMap latent, const __grid_constant__ CUtensorMap rope,
               const __grid_constant__ CUtensorMap cache, const Problem p) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ unsigned char raw[];
  __shared__ Shared shared;
  unsigned char* aligned = aligned_memory(raw);
  const Memory memory{aligned, aligned + kTileBytes, aligned + (1 + kStages) * kTileBytes};
  if (threadIdx.x >= kThreads - 3)
    prefetch_map(threadIdx.x == kThreads - 3 ? latent : threadIdx.x == kThreads - 2 ? rope : cache);
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      for (uint64_t& third : shared.full[i]) init_barrier(&third, 1);
      init_barrier(&shared.empty[i], kValueWarps * kPair);
    }
    for (int i = 0; i < 2; ++i) {
      init_barrier(&shared.told[i], 1);
      init_barrier(&shared.heard[i], kScoreWarps + kValueWarps + 1);
    }
    init_barrier(&shared.query_full, 1);
    init_barrier(&shared.query_empty, kScoreWarps);
    init_barrier(&shared.weights_full, kScoreWarps);
    init_barrier(&shared.weights_empty, kValueWarps);
    publish_barriers();
  }
  let_next_come();
  __syncthreads();
  if constexpr (kPair > 1) synchronize_cluster();
  const int group = threadIdx.x / 128, warp = threadIdx.x / 32 % 4;
  if (group == 0) {
    take_registers<144>();
    Scorer{shared, memory, p, static_cast<int>(threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4),
           operand<false>(memory.queries)}
        .run();
  } else if (group < 3) {
    take_registers<168>();
    weigh<kPair>(shared, memory, p);
  } else {
    give_registers<32>();
    if (warp == 0) load_past<kPair>(shared, memory, p, cache);
    if (warp == 1) hand_out<kPair>(shared, memory, p, latent, rope);
  }
  // No block leaves while its partner may still write or arrive here.
  if constexpr (kPair > 1) {
    __syncwarp();
    synchronize_cluster();
  }
#endif
}

// ---- Host
bool aligned(const Tensor& t) {
  return reinterpret_cast<uintptr_t>(t.data) % 16 == 0 && t.row_stride % 8 == 0;
}

template <int kPair>
void launch(Context& ctx, const CUtensorMap& latent, const CUtensorMap& rope,
            const CUtensorMap& cache, const Problem& p) {
  check(cudaFuncSetAttribute(mla_decode<kPair>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             kSharedBytes));
  const int64_t most = int64_t{p.rows} * p.split.most * p.groups;
  const int64_t have = ctx.cuda->properties.multiProcessorCount / kPair;
  const auto blocks = static_cast<unsigned>((most < have ? most : have) * kPair);
  // Outside a recording rows of one sequence may see what the kernel before writes for each other.
  launch_following(ctx, mla_decode<kPair>, {blocks, kThreads, kSharedBytes, kPair, true}, latent,
                   rope, cache, p);
}

}  // namespace

template <>
bool mla_decode_hopper_of<kNarrow>(Context& ctx, const Tensor& o_latent, const Tensor& q_latent,
                                   const Tensor& q_rope, const Tensor& cache, const PagedRows& rows,
                                   double scale) {
  const int64_t n = q_latent.dim(0), heads = q_latent.dim(1), block_size = cache.dim(1);
  if (ctx.cuda->properties.major != 9 || o_latent.dtype != kNarrow || q_latent.cols() != kLatent ||
      q_rope.cols() != kRope || block_size % kPage != 0 || cache.rows() >= int64_t{1} << 31 ||
      !aligned(o_latent) || !aligned(q_latent) || !aligned(q_rope) || !aligned(cache))
    return false;
  const int64_t blocks = (heads + kHeads - 1) / kHeads, pair = blocks % 2 == 0 ? 2 : 1;
  const int64_t most_tokens = rows.block_table.cols() * block_size;
  const Split split = split_past(n * blocks, most_tokens, n, heads, kLatent);
  const ArenaScope scope(ctx.scratch);
  Parts parts;
  if (split.most > 1) {
    const Tensor o =
        ctx.scratch.tensor("mla_decode.o", DType::f32, {n, split.most, heads, kLatent});
    const Tensor lse = ctx.scratch.tensor("mla_decode.lse", DType::f32, {n, split.most, heads});
    parts = {data_of<float>(o), data_of<float>(lse)};
  }
  const Problem p{.o = rows_of<Narrow>(o_latent),
                  .table = rows_of<int32_t>(rows.block_table),
                  .sequence = data_of<int32_t>(rows.row_sequence),
                  .length = data_of<int32_t>(rows.context_length),
                  .block_size = static_cast<int>(block_size),
                  .cache_rows = static_cast<int>(cache.rows()),
                  .rows = static_cast<int>(n),
                  .heads = static_cast<int>(heads),
                  .groups = static_cast<int>(blocks / pair),
                  .scale = static_cast<float>(scale * 1.4426950408889634),
                  .split = split,
                  .parts = parts};
  const CUtensorMap latent = make_map(q_latent, {kLatent, heads, n}, kLine, kHeads, true);
  const CUtensorMap rope = make_map(q_rope, {kRope, heads, n}, kLine, kHeads, true);
  const CUtensorMap past = make_map(cache, {kLatent + kRope, cache.rows(), 1}, kLine, kPage, true);
  pair == 2 ? launch<2>(ctx, latent, rope, past, p) : launch<1>(ctx, latent, rope, past, p);
  if (split.most > 1) merge_parts(ctx, o_latent, parts, rows, split);
  return true;
}

}  // namespace temper::cuda
