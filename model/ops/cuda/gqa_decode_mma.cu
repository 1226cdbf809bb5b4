// A block takes up to 16 heads of a row that share keys and values, over a chunk of the row's past.
// Its one to four warps take pages of 16 tokens in turn and know nothing of each other until the
// end: a warp has a ring of pages of its own, on which the next ones arrive while it works.
#include "model/ops/cuda/gqa_decode_mma.h"

#include <algorithm>

#include "model/ops/cuda/decode_split.h"
#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/mma.h"

namespace temper::cuda {
namespace {

constexpr int kPage = 16;       // tokens that surely lie next to each other
constexpr int kMostHeads = 16;  // that one block takes

struct Problem {
  Rows<Narrow> o, q;  // [N * H, D]
  const Narrow* cache;
  int64_t stride;  // of a token's entry
  int value_at;    // where an entry's values begin
  Rows<int32_t> table;
  const int32_t *sequence, *length;
  int block_size, heads;
  int share, groups;  // heads that read the same keys; blocks that these take
  float scale;        // times log2(e)
  Split split;
  Parts parts;
};

// Keys, then values of a page: lines of kDim numbers whose 16 bytes are swizzled, so that eight
// lines' 16 bytes of one column lie in different banks.
template <int kDim>
struct Page {
  static constexpr int kPacks = kDim / 8, kNumbers = 2 * kPage * kDim;
  static constexpr int kStages = kDim == 64 ? 3 : 2;
  Narrow* data;
  __device__ Narrow* at(int part, int token, int pack) const {
    return data + (part * kPage + token) * kDim + (pack ^ (token & 7)) * 8;
  }
};

// What a block leaves of each warp's pages, to be merged: in the place of the pages.
template <int kDim>
struct Left {
  float o[kMostHeads][kDim + 4];  // not yet divided by the sum; 4: for the banks
  float top[kMostHeads], sum[kMostHeads];
};

// A warp's.
template <int kDim>
constexpr int kSharedBytes = std::max(Page<kDim>::kStages* Page<kDim>::kNumbers * 2,
                                      int{sizeof(Left<kDim>)});

// The block's part of the past.
struct Past {
  const Narrow* entries;  // of the block's key head
  const int32_t* blocks;
  int first, tokens;
};

// Page number `page` of the past arrives later; behind the end are zeros.
template <int kDim>
__device__ void load_page(const Problem& p, const Past& past, int page, Page<kDim> to) {
  constexpr int kPacks = Page<kDim>::kPacks, kRows = 32 / kPacks;
  const int lane = threadIdx.x % 32, pack = lane % kPacks;
  if (page * kPage < past.tokens) {
    const int token = past.first + page * kPage;
    const Narrow* entry =
        past.entries +
        (int64_t{past.blocks[token / p.block_size]} * p.block_size + token % p.block_size) *
            p.stride +
        pack * 8;
#pragma unroll
    for (int i = lane / kPacks; i < kPage; i += kRows) {
      const bool valid = page * kPage + i < past.tokens;
      const Narrow* from = entry + (valid ? i : 0) * p.stride;
      copy_later(to.at(0, i, pack), from, valid);
      copy_later(to.at(1, i, pack), from + p.value_at, valid);
    }
  }
  end_copy_group();
}

// The state of a warp's 16 heads: a thread has rows lane / 4 and + 8.
template <int kDim>
struct Heads {
  FragmentA q[kDim / 16];
  FragmentC o[kDim / 8] = {};
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0F, 0.0F};

  __device__ void load(const Problem& p, int64_t first, int count) {
    const int lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
#pragma unroll
    for (int i = 0; i < kDim / 16; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int row = g + j % 2 * 8;
        const Narrow* from = p.q.row(first + row) + i * 16 + j / 2 * 8 + c * 2;
        q[i].at[j] = row < count ? *reinterpret_cast<const unsigned*>(from) : 0;
      }
    }
  }

  // s = q k^T for the page's 16 tokens, in two halves of 8.
  __device__ void score(Page<kDim> page, FragmentC& left, FragmentC& right) const {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < kDim / 16; ++i) {
      FragmentB k;
      load_matrices(k.at, page.at(0, lane / 16 * 8 + lane % 8, i * 2 + lane / 8 % 2));
      multiply<Narrow>(left, right, q[i], k);
    }
  }

  // Scores become weights, and the sums so far are put under the new top.
  __device__ void soften(FragmentC& left, FragmentC& right, float scale) {
    float factor[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float most =
          fmaxf(fmaxf(left[2 * h], left[2 * h + 1]), fmaxf(right[2 * h], right[2 * h + 1]));
      most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, 1));
      most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, 2)) * scale;
      most = fmaxf(most, top[h]);
      factor[h] = exp2_fast(top[h] - most);
      top[h] = most;
      sum[h] *= factor[h];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        sum[h] += left[2 * h + j] = exp2_fast(left[2 * h + j] * scale - most);
        sum[h] += right[2 * h + j] = exp2_fast(right[2 * h + j] * scale - most);
      }
    }
    if (!__any_sync(0xffffffffU, factor[0] != 1.0F || factor[1] != 1.0F)) return;
#pragma unroll
    for (int i = 0; i < kDim / 8; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) o[i][j] *= factor[j / 2];
  }

  __device__ void weigh(Page<kDim> page, const FragmentC& left, const FragmentC& right) {
    const int lane = threadIdx.x % 32;
    const FragmentA weights = as_left<Narrow>(left, right);
#pragma unroll
    for (int i = 0; i < kDim / 16; ++i) {
      FragmentB v;
      load_matrices_transposed(v.at, page.at(1, lane % 16, i * 2 + lane / 16));
      multiply<Narrow>(o[i * 2], o[i * 2 + 1], weights, v);
    }
  }

  __device__ void leave(Left<kDim>& to) {
    const int lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = g + h * 8;
      sum[h] += __shfl_xor_sync(0xffffffffU, sum[h], 1);
      sum[h] += __shfl_xor_sync(0xffffffffU, sum[h], 2);
      if (c == 0) to.top[row] = top[h], to.sum[row] = sum[h];
#pragma unroll
      for (int i = 0; i < kDim / 8; ++i)
        *reinterpret_cast<float2*>(&to.o[row][i * 8 + c * 2]) =
            make_float2(o[i][2 * h], o[i][2 * h + 1]);
    }
  }
};

// The warps' sums become one, in the order of the warps.
template <int kDim, int kWarps>
__device__ void merge_warps(const Problem& p, const Left<kDim>* left, int64_t first, int count,
                            int64_t part, int head) {
  for (int i = threadIdx.x; i < count * (kDim / 2); i += kWarps * 32) {
    const int row = i / (kDim / 2), j = i % (kDim / 2) * 2;
    float top = -INFINITY, sum = 0.0F;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) top = fmaxf(top, left[w].top[row]);
    float2 mean = make_float2(0.0F, 0.0F);
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float weight = exp2_fast(left[w].top[row] - top);
      const float2 o = *reinterpret_cast<const float2*>(&left[w].o[row][j]);
      sum += weight * left[w].sum[row], mean.x += weight * o.x, mean.y += weight * o.y;
    }
    mean.x /= sum, mean.y /= sum;
    if (part < 0) {
      *reinterpret_cast<unsigned*>(p.o.row(first + row) + j) = pack_pair<Narrow>(mean.x, mean.y);
    } else {
      const int64_t at = part * p.heads + head + row;
      *reinterpret_cast<float2*>(p.parts.o + at * kDim + j) = mean;
      if (j == 0) p.parts.lse[at] = top + log2f(sum);
    }
  }
}

template <int kDim, int kWarps>
__global__ void __launch_bounds__(kWarps * 32) gqa_decode(Problem p) {
  follow();
  extern __shared__ __align__(128) unsigned char memory[];
  using Pages = Page<kDim>;
  constexpr int kStages = Pages::kStages;
  const int sharers = p.heads / p.share, units = sharers * p.groups, warp = threadIdx.x / 32;
  const int64_t row = blockIdx.x / units;
  const int unit = blockIdx.x % units, sharer = unit / p.groups;
  const int in_share = unit % p.groups * kMostHeads, head = sharer * p.share + in_share;
  const int count = min(kMostHeads, p.share - in_share);
  const int sequence = p.sequence[row], length = p.length[row];
  if (length <= 0 || length > p.table.cols * p.block_size) __trap();  // not in the table
  const int first = blockIdx.y * p.split.chunk;
  if (first >= length) return;
  const Past past{p.cache + sharer * kDim, p.table.row(sequence), first,
                  min(p.split.chunk, length - first)};
  const int pages = (past.tokens + kPage - 1) / kPage;
  const auto page_at = [&](int stage) {
    return Pages{reinterpret_cast<Narrow*>(memory) + (warp * kStages + stage) * Pages::kNumbers};
  };
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) load_page(p, past, warp + i * kWarps, page_at(i));
  Heads<kDim> heads;
  heads.load(p, row * p.heads + head, count);
  int stage = 0;
  for (int page = warp; page < pages; page += kWarps) {
    const int free = stage == 0 ? kStages - 1 : stage - 1;
    load_page(p, past, page + (kStages - 1) * kWarps, page_at(free));
    wait_copies<kStages - 1>();
    __syncwarp();
    FragmentC left = {}, right = {};
    heads.score(page_at(stage), left, right);
    const int tokens = past.tokens - page * kPage;
    if (tokens < kPage) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int at = threadIdx.x % 4 * 2 + j % 2;
        if (at >= tokens) left[j] = -INFINITY;
        if (at + 8 >= tokens) right[j] = -INFINITY;
      }
    }
    heads.soften(left, right, p.scale);
    heads.weigh(page_at(stage), left, right);
    __syncwarp();  // all have read the page that is overwritten next
    if (++stage == kStages) stage = 0;
  }
  wait_copies<0>();
  __syncthreads();
  auto* left = reinterpret_cast<Left<kDim>*>(memory);
  heads.leave(left[warp]);
  __syncthreads();
  const int64_t part = length > p.split.chunk ? row * p.split.most + blockIdx.y : -1;
  merge_warps<kDim, kWarps>(p, left, row * p.heads + head, count, part, head);
}

bool aligned(const Tensor& t) {
  return reinterpret_cast<uintptr_t>(t.data) % 16 == 0 && t.row_stride % 8 == 0;
}

template <int kDim, int kWarps>
void launch(Context& ctx, const Problem& p, int64_t units) {
  constexpr int kBytes = kWarps * kSharedBytes<kDim>;
  const auto kernel = gqa_decode<kDim, kWarps>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  const dim3 grid(static_cast<unsigned>(units), static_cast<unsigned>(p.split.most));
  launch_following(ctx, kernel, {grid, kWarps * 32, kBytes}, p);
}

// As many warps a block as let all blocks run at once: blocks of one size begin and end together,
// and at each end the memory has nothing to do.
template <int kDim>
void launch(Context& ctx, const Problem& p, int64_t units) {
  const cudaDeviceProp& card = ctx.cuda->properties;
  const auto fits = [&](int64_t warps) {
    const int64_t each =
        warps * kSharedBytes<kDim> + static_cast<int64_t>(card.reservedSharedMemPerBlock);
    return units * p.split.most <=
           static_cast<int64_t>(card.sharedMemPerMultiprocessor) / each * card.multiProcessorCount;
  };
  if (fits(4)) return launch<kDim, 4>(ctx, p, units);
  if (fits(2)) return launch<kDim, 2>(ctx, p, units);
  launch<kDim, 1>(ctx, p, units);
}

}  // namespace

template <>
bool gqa_decode_mma_of<kNarrow>(Context& ctx, const Tensor& o, const Tensor& q, const Tensor& cache,
                                const PagedRows& rows, double scale) {
  const int64_t n = q.dim(0), heads = q.dim(1), dim = q.cols(), block_size = cache.dim(1);
  if (ctx.cuda->properties.major < 8 || o.dtype != kNarrow || (dim != 64 && dim != 128) ||
      block_size % kPage != 0 || !aligned(o) || !aligned(q) || !aligned(cache))
    return false;
  const int64_t sharers = cache.cols() / (2 * dim), share = heads / sharers;
  const int64_t groups = (share + kMostHeads - 1) / kMostHeads;
  // Several blocks fit a multiprocessor.
  const Split split =
      split_past(n * sharers * groups / 4, rows.block_table.cols() * block_size, n, heads, dim);
  const ArenaScope scope(ctx.scratch);
  Parts parts;
  if (split.most > 1) {
    const Tensor mean = ctx.scratch.tensor("gqa_decode.o", DType::f32, {n, split.most, heads, dim});
    const Tensor lse = ctx.scratch.tensor("gqa_decode.lse", DType::f32, {n, split.most, heads});
    parts = {data_of<float>(mean), data_of<float>(lse)};
  }
  const Problem p{.o = rows_of<Narrow>(o),
                  .q = rows_of<Narrow>(q),
                  .cache = data_of<Narrow>(cache),
                  .stride = cache.row_stride,
                  .value_at = static_cast<int>(sharers * dim),
                  .table = rows_of<int32_t>(rows.block_table),
                  .sequence = data_of<int32_t>(rows.row_sequence),
                  .length = data_of<int32_t>(rows.context_length),
                  .block_size = static_cast<int>(block_size),
                  .heads = static_cast<int>(heads),
                  .share = static_cast<int>(share),
                  .groups = static_cast<int>(groups),
                  .scale = static_cast<float>(scale * 1.4426950408889634),
                  .split = split,
                  .parts = parts};
  dim == 64 ? launch<64>(ctx, p, n * sharers * groups) : launch<128>(ctx, p, n * sharers * groups);
  if (split.most > 1) merge_parts(ctx, o, parts, rows, split);
  return true;
}

}  // namespace temper::cuda
