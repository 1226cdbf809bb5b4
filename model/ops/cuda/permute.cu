#include "model/ops/cuda/permute.h"

#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kChunk = 256;  // choices that one warp of the counting sort takes, in order

// ---- The plan: a counting sort over chunks of the choices, stable because each warp goes through
// its chunk in order and chunks are laid out in order.

struct Choices {
  const int32_t* expert;
  int64_t count, per_token;
  int chunks, experts;
};

// in_chunk[e, c]: how many choices of chunk c are expert e.
__global__ void count_chunks(Choices choices, int32_t* in_chunk) {
  follow();
  extern __shared__ int32_t counts[];
  for (int e = threadIdx.x; e < choices.experts; e += blockDim.x) counts[e] = 0;
  __syncthreads();
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kChunk;
  for (int64_t i = first + threadIdx.x; i < min(first + kChunk, choices.count); i += blockDim.x) {
    const int32_t e = choices.expert[i];
    if (e < 0 || e >= choices.experts) __trap();  // the router broke its contract
    atomicAdd(&counts[e], 1);                     // integers: any order gives the same sum
  }
  __syncthreads();
  for (int e = threadIdx.x; e < choices.experts; e += blockDim.x)
    in_chunk[static_cast<int64_t>(e) * choices.chunks + blockIdx.x] = counts[e];
}

// The sum of x over the lanes up to this one.
__device__ int32_t inclusive_sum(int32_t x) {
  const int lane = threadIdx.x % 32;
  for (int offset = 1; offset < 32; offset *= 2) {
    const int32_t below = __shfl_up_sync(0xffffffffU, x, offset);
    if (lane >= offset) x += below;
  }
  return x;
}

// Replaces n numbers by the sums of those before them; returns the sum of all. One warp.
__device__ int32_t exclusive_scan(int32_t* numbers, int n) {
  const int lane = threadIdx.x % 32;
  int32_t carry = 0;
  for (int base = 0; base < n; base += 32) {
    const int i = base + lane;
    const int32_t own = i < n ? numbers[i] : 0, upto = inclusive_sum(own);
    if (i < n) numbers[i] = carry + upto - own;
    carry += __shfl_sync(0xffffffffU, upto, 31);
  }
  return carry;
}

// One block: in_chunk becomes each chunk's first row within its expert; offsets the experts' own.
__global__ void place_chunks(int32_t* in_chunk, int chunks, int32_t* offsets, int experts) {
  follow();
  extern __shared__ int32_t totals[];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int e = warp; e < experts; e += blockDim.x / 32) {
    const int32_t total = exclusive_scan(in_chunk + static_cast<int64_t>(e) * chunks, chunks);
    if (lane == 0) totals[e] = total;
  }
  __syncthreads();
  if (warp == 0) {
    const int32_t all = exclusive_scan(totals, experts);
    if (lane == 0) offsets[experts] = all;
  }
  __syncthreads();
  for (int e = threadIdx.x; e < experts; e += blockDim.x) offsets[e] = totals[e];
}

// One warp a chunk, 32 choices at a time: a choice's row is its expert's running head plus the
// number of lower lanes that chose the same expert.
__global__ void place_rows(Choices choices, const int32_t* in_chunk, const int32_t* offsets,
                           int32_t* row_of, int32_t* token_of) {
  follow();
  extern __shared__ int32_t head[];
  const int lane = threadIdx.x;
  for (int e = lane; e < choices.experts; e += 32)
    head[e] = offsets[e] + in_chunk[static_cast<int64_t>(e) * choices.chunks + blockIdx.x];
  __syncwarp();
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kChunk;
  const int64_t end = min(first + kChunk, choices.count);
  for (int64_t base = first; base < end; base += 32) {
    const int64_t i = base + lane;
    const int32_t e = i < end ? choices.expert[i] : -1;
    const unsigned same = __match_any_sync(0xffffffffU, e);
    const int below = __popc(same & ((1U << lane) - 1));
    if (e >= 0) {
      const int32_t row = head[e] + below;
      row_of[i] = row;
      token_of[row] = static_cast<int32_t>(i / choices.per_token);
    }
    __syncwarp();
    if (e >= 0 && below == 0) head[e] += __popc(same);
    __syncwarp();
  }
}

constexpr int kFew = 4096;  // choices, and experts times kFewWarps, that one block sorts alone
constexpr int kFewWarps = 16;

// The whole plan by one block, each warp taking a chunk of the choices: generation has few.
__global__ void __launch_bounds__(32 * kFewWarps)
    plan_few(Choices choices, int32_t* offsets, int32_t* row_of, int32_t* token_of) {
  follow();
  __shared__ int32_t head[kFew];  // [experts, kFewWarps]: counts, then rows within the expert
  __shared__ int32_t totals[kFew / kFewWarps];  // of the experts, then their first rows
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, experts = choices.experts;
  for (int i = threadIdx.x; i < experts * kFewWarps; i += blockDim.x) head[i] = 0;
  __syncthreads();
  const int count = static_cast<int>(choices.count);
  const int chunk = (count + 32 * kFewWarps - 1) / (32 * kFewWarps) * 32;
  const int first = warp * chunk, end = min(first + chunk, count);
  for (int base = first; base < end; base += 32) {
    const int32_t e = base + lane < end ? choices.expert[base + lane] : -1;
    if (base + lane < end && (e < 0 || e >= experts)) __trap();  // the router broke its contract
    const unsigned same = __match_any_sync(0xffffffffU, e);
    if (e >= 0 && (same & ((1U << lane) - 1)) == 0) head[e * kFewWarps + warp] += __popc(same);
    __syncwarp();
  }
  __syncthreads();
  for (int e = threadIdx.x; e < experts; e += blockDim.x) {
    int32_t sum = 0;
    for (int w = 0; w < kFewWarps; ++w) {
      const int32_t own = head[e * kFewWarps + w];
      head[e * kFewWarps + w] = sum;
      sum += own;
    }
    totals[e] = sum;
  }
  __syncthreads();
  if (warp == 0) {
    const int32_t all = exclusive_scan(totals, experts);
    if (lane == 0) offsets[experts] = all;
  }
  __syncthreads();
  for (int e = threadIdx.x; e < experts; e += blockDim.x) offsets[e] = totals[e];
  for (int base = first; base < end; base += 32) {
    const int i = base + lane;
    const int32_t e = i < end ? choices.expert[i] : -1;
    const unsigned same = __match_any_sync(0xffffffffU, e);
    const int below = __popc(same & ((1U << lane) - 1));
    if (e >= 0) {
      const int32_t row = totals[e] + head[e * kFewWarps + warp] + below;
      row_of[i] = row;
      token_of[row] = static_cast<int32_t>(i / choices.per_token);
    }
    __syncwarp();
    if (e >= 0 && below == 0) head[e * kFewWarps + warp] += __popc(same);
    __syncwarp();
  }
}

// A block a layer.
constexpr int kLayers = 64;  // of a launch, at most
struct LayerOffsets {
  const int32_t* at[kLayers];
};
__global__ void add_counts(int32_t* counts, LayerOffsets offsets, int64_t experts) {
  follow();
  const int32_t* first = offsets.at[blockIdx.x];
  for (int64_t e = threadIdx.x; e < experts; e += blockDim.x)
    counts[blockIdx.x * experts + e] += first[e + 1] - first[e];
}

// ---- Rows to experts and back. One block a row or token, or one warp a choice.

template <class T, int kCount>
__global__ void gather_rows(Rows<T> y, Rows<T> x, const int32_t* index) {
  follow();
  T *to = y.row(blockIdx.x), *from = x.row(index[blockIdx.x]);
  for (int64_t i = threadIdx.x; i < y.cols / kCount; i += blockDim.x)
    pack_at<kCount>(to, i) = pack_at<kCount>(from, i);
}

constexpr int kAtOnce = 4;  // packs of a thread that are on their way together

// A warp a token: its row is read once, wherever it goes.
template <class T, int kCount>
__global__ void __launch_bounds__(kThreads)
    spread_rows_kernel(Rows<T> y, Rows<T> x, Rows<int32_t> row_of) {
  follow();
  const int64_t token = int64_t{blockIdx.x} * (kThreads / 32) + threadIdx.x / 32;
  if (token >= x.rows) return;
  const int32_t* rows = row_of.row(token);
  const int64_t packs = x.cols / kCount;
  for (int64_t first = threadIdx.x % 32; first < packs; first += 32 * kAtOnce) {
    Pack<T, kCount> some[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j)
      if (first + 32 * j < packs) some[j] = pack_at<kCount>(x.row(token), first + 32 * j);
    for (int64_t k = 0; k < row_of.cols; ++k) {
      T* to = y.row(rows[k]);
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j)
        if (first + 32 * j < packs) pack_at<kCount>(to, first + 32 * j) = some[j];
    }
  }
}

template <class To, class From>
struct Choosing {
  Rows<To> to;
  bool fresh;
  Rows<From> from;
  Rows<float> weights;  // null: 1
  Rows<int32_t> row_of;
  Rows<From> plus = {};  // null: nothing
};

// Pack i of to_t + sum_k weight[t, k] * from_{row_of[t, k]} in order of k; it becomes that of to_t.
template <class To, class From, int kCount>
__device__ Pack<To, kCount> sum_pack(const Choosing<To, From>& c, int64_t t, int64_t i) {
  const int32_t* rows = c.row_of.row(t);
  const float* weights = c.weights ? c.weights.row(t) : nullptr;
  float sum[kCount] = {};
  if (!c.fresh) {
    const Pack<To, kCount> own = pack_at<kCount>(c.to.row(t), i);
#pragma unroll
    for (int j = 0; j < kCount; ++j) sum[j] = to_float(own.at[j]);
  }
  if (c.plus) {
    const Pack<From, kCount> more = pack_at<kCount>(c.plus.row(t), i);
#pragma unroll
    for (int j = 0; j < kCount; ++j) sum[j] += to_float(more.at[j]);
  }
#pragma unroll 4
  for (int64_t k = 0; k < c.row_of.cols; ++k) {
    const Pack<From, kCount> x = pack_at<kCount>(c.from.row(rows[k]), i);
    const float w = weights != nullptr ? weights[k] : 1.0F;
#pragma unroll
    for (int j = 0; j < kCount; ++j) sum[j] += w * to_float(x.at[j]);
  }
  Pack<To, kCount> out;
#pragma unroll
  for (int j = 0; j < kCount; ++j) out.at[j] = from_float<To>(sum[j]);
  pack_at<kCount>(c.to.row(t), i) = out;
  return out;
}

template <class To, class From, int kCount>
__global__ void sum_choices(Choosing<To, From> c) {
  follow();
  for (int64_t i = threadIdx.x; i < c.to.cols / kCount; i += blockDim.x)
    sum_pack<To, From, kCount>(c, blockIdx.x, i);
}

template <class From>
struct Norm {
  Rows<From> normed, kept;  // kept may be null
  float* rstd;              // may be null
  const From* w;
  float eps;
};

// The same, then the norm of to_t while it is in registers: kPacks packs a thread.
template <class To, class From, int kCount, int kPacks>
__global__ void __launch_bounds__(kThreads) sum_and_norm(Choosing<To, From> c, Norm<From> norm) {
  follow();
  const int64_t t = blockIdx.x;
  const int count = static_cast<int>(c.to.cols) / kCount;
  Pack<To, kCount> sum[kPacks];
  float squares = 0.0F;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int i = static_cast<int>(threadIdx.x) + p * kThreads;
    if (i >= count) continue;
    sum[p] = sum_pack<To, From, kCount>(c, t, i);
#pragma unroll
    for (int j = 0; j < kCount; ++j) squares += to_float(sum[p].at[j]) * to_float(sum[p].at[j]);
  }
  const float r = 1.0F / sqrtf(block_sum(squares) / static_cast<float>(c.to.cols) + norm.eps);
  if (norm.rstd != nullptr && threadIdx.x == 0) norm.rstd[t] = r;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int i = static_cast<int>(threadIdx.x) + p * kThreads;
    if (i >= count) continue;
    const auto w = load_pack<kCount>(norm.w + int64_t{i} * kCount);
    Pack<From, kCount> normed, kept;
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      normed.at[j] = from_float<From>(to_float(sum[p].at[j]) * r * to_float(w.at[j]));
      kept.at[j] = from_float<From>(to_float(sum[p].at[j]));
    }
    pack_at<kCount>(norm.normed.row(t), i) = normed;
    if (norm.kept) pack_at<kCount>(norm.kept.row(t), i) = kept;
  }
}

template <class To, class From>
void launch_sum(Context& ctx, const Choosing<To, From>& c) {
  if (c.to.rows == 0) return;
  const auto kernel = packs(c.to) && packs(c.from) && packs(c.plus)
                          ? sum_choices<To, From, kWide<From>>
                          : sum_choices<To, From, 1>;
  launch_following(ctx, kernel, {blocks_for(c.to.rows, 1), kThreads}, c);
}

}  // namespace

void plan_experts(Context& ctx, const ExpertPlan& plan, Tensor experts) {
  const Choices choices{data_of<int32_t>(experts), experts.numel(), experts.cols(),
                        static_cast<int>(blocks_for(experts.numel(), kChunk)),
                        static_cast<int>(plan.offsets.numel() - 1)};
  int32_t* offsets = data_of<int32_t>(plan.offsets);
  if (choices.count <= kFew && choices.experts * kFewWarps <= kFew) {
    return launch_following(ctx, plan_few, {1, 32 * kFewWarps}, choices, offsets,
                            data_of<int32_t>(plan.row_of), data_of<int32_t>(plan.token_of));
  }
  const size_t shared = static_cast<size_t>(choices.experts) * sizeof(int32_t);
  require(shared <= size_t{48} << 10, "plan_experts: too many experts for the GPU's plan");
  ArenaScope scope(ctx.scratch);
  int32_t* in_chunk = data_of<int32_t>(
      ctx.scratch.tensor("permute.in_chunk", DType::i32, {choices.experts, choices.chunks}));
  if (choices.chunks > 0) {
    launch_following(ctx, count_chunks, {static_cast<unsigned>(choices.chunks), kThreads, shared},
                     choices, in_chunk);
  }
  launch_following(ctx, place_chunks, {1, 1024, shared}, in_chunk, choices.chunks, offsets,
                   choices.experts);
  if (choices.chunks == 0) return;
  launch_following(ctx, place_rows, {static_cast<unsigned>(choices.chunks), 32, shared}, choices,
                   in_chunk, offsets, data_of<int32_t>(plan.row_of),
                   data_of<int32_t>(plan.token_of));
}

void count_rows(Context& ctx, Tensor counts, std::span<const Tensor> offsets) {
  if (counts.numel() == 0) return;
  const int64_t experts = counts.cols();
  for (size_t first = 0; first < offsets.size(); first += kLayers) {
    const size_t layers = std::min<size_t>(kLayers, offsets.size() - first);
    LayerOffsets of{};
    for (size_t l = 0; l < layers; ++l) of.at[l] = data_of<int32_t>(offsets[first + l]);
    launch_following(ctx, add_counts, {static_cast<unsigned>(layers), kThreads},
                     data_of<int32_t>(counts) + static_cast<int64_t>(first) * experts, of, experts);
  }
}

void gather_rows_forward(Context& ctx, Tensor y, Tensor x, Tensor index) {
  if (y.rows() == 0) return;
  dispatch(y.dtype, [&]<class T>() {
    const Rows<T> to = rows_of<T>(y), from = rows_of<T>(x);
    dispatch_pack<T>({to, from}, [&]<int kCount>() {
      launch_following(ctx, gather_rows<T, kCount>, {blocks_for(to.rows, 1), kThreads}, to, from,
                       data_of<int32_t>(index));
    });
  });
}

void spread_rows(Context& ctx, Tensor y, Tensor x, Tensor row_of) {
  if (y.rows() == 0) return;
  dispatch(y.dtype, [&]<class T>() {
    const Rows<T> to = rows_of<T>(y), from = rows_of<T>(x);
    dispatch_pack<T>({to, from}, [&]<int kCount>() {
      launch_following(ctx, spread_rows_kernel<T, kCount>,
                       {blocks_for(from.rows, kThreads / 32), kThreads}, to, from,
                       rows_of<int32_t>(row_of));
    });
  });
}

void gather_rows_backward(Context& ctx, const Grad& dx, Tensor dy, Tensor row_of) {
  dispatch(dx.dtype, [&]<class T>() {
    launch_sum<T, T>(ctx, {rows_of<T>(dx), dx.fresh, rows_of<T>(dy), {}, rows_of<int32_t>(row_of)});
  });
}

namespace {

template <class To, class From>
Choosing<To, From> choosing(const Tensor& y, const Combined& rows) {
  return {rows_of<To>(y),
          false,
          rows_of<From>(rows.x),
          rows_of<float>(rows.weights),
          rows_of<int32_t>(rows.row_of),
          rows_of<From>(rows.plus)};
}

}  // namespace

void combine_forward(Context& ctx, Tensor y, const Combined& rows) {
  dispatch_widening(rows.x.dtype, y.dtype,
                    [&]<class X, class Y>() { launch_sum<Y, X>(ctx, choosing<Y, X>(y, rows)); });
}

bool combine_norms(const Tensor& y, const Combined& rows, const NormAfter& norm) {
  bool can = y.cols() * static_cast<int64_t>(size_of(rows.x.dtype)) <= 16 * 8 * kThreads;
  dispatch_widening(rows.x.dtype, y.dtype, [&]<class X, class Y>() {
    can = can && packs(rows_of<Y>(y)) && packs(rows_of<X>(rows.x)) &&
          packs(rows_of<X>(rows.plus)) && packs(rows_of<X>(norm.normed)) &&
          packs(rows_of<X>(norm.saved.x)) && packs(rows_of<X>(norm.w));
  });
  return can;
}

void combine_norm_forward(Context& ctx, Tensor y, const Combined& rows, const NormAfter& norm) {
  if (y.rows() == 0) return;
  dispatch_widening(rows.x.dtype, y.dtype, [&]<class X, class Y>() {
    const Choosing<Y, X> c = choosing<Y, X>(y, rows);
    const Norm<X> n{rows_of<X>(norm.normed), rows_of<X>(norm.saved.x),
                    data_of<float>(norm.saved.rstd), data_of<X>(norm.w),
                    static_cast<float>(norm.eps)};
    constexpr int kCount = kWide<X>;
    const int64_t packs = (y.cols() / kCount + kThreads - 1) / kThreads;
    const auto kernel = packs <= 1   ? sum_and_norm<Y, X, kCount, 1>
                        : packs <= 2 ? sum_and_norm<Y, X, kCount, 2>
                        : packs <= 4 ? sum_and_norm<Y, X, kCount, 4>
                                     : sum_and_norm<Y, X, kCount, 8>;
    launch_following(ctx, kernel, {blocks_for(y.rows(), 1), kThreads}, c, n);
  });
}

}  // namespace temper::cuda
