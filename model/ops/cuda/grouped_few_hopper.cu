// grouped_few_hopper.h. The product is taken transposed: 128 rows of the weights times all rows of
// their expert, so that the tensor cores' 64 lines are weights and nothing is padded but the few.
// As many blocks as the card has multiprocessors walk through the tiles; one thread keeps the copy
// engine 160 KB ahead, over the borders of tiles. Weights do not hang on what the kernels before
// compute, so in a recording the first stages are on their way before those have ended.
#include "model/ops/cuda/grouped_few_hopper.h"

#include "model/ops/cuda/bulk_copy.h"
#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/grouped_launch.h"
#include "model/ops/cuda/sigmoid.h"
#include "model/ops/cuda/wgmma.h"

namespace temper::cuda {
namespace {

constexpr int kGroups = 512;  // at most
constexpr int kConsumers = 256, kThreads = kConsumers + 32;
constexpr int kStep = kLine, kWeightBytes = 2 * kBoxBytes;  // of the inner dimension; of a stage
// Rows of x that are multiplied at once, and the rows an expert, on average, that they are for:
// the fullest of many has about twice that.
constexpr int64_t kFewRows = 16, kMostRows = 48;

template <int kRows>
struct Sizes {
  static constexpr int kStageBytes = kWeightBytes + kRows * kStep * 2;
  static constexpr int kStages = kRows == 32 ? 9 : 8;
  static constexpr int kUpBytes = kLine * kRows * 2;  // half a tile, rounded; there are two
  static constexpr int kBytes = kStages * kStageBytes + 2 * kUpBytes + 1024;
};

struct Few {
  Rows<Narrow> y;
  const int32_t* offsets;
  int groups, steps;
  int tiles;   // of an expert
  int up;      // the first row of the second box of weights, behind the first box's
  int width;   // rows of weights from one tile to the next
  bool early;  // weights may be read before the kernels before are done
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

constexpr int kConsumerWarps = kConsumers / 32;

template <int kRows>
struct Shared {
  uint64_t full[Sizes<kRows>::kStages], empty[Sizes<kRows>::kStages];
  int offsets[kGroups + 1];
};

template <int kRows>
struct Pipeline {
  int stage = 0;
  unsigned parity = 0;
  __device__ void advance() {
    if (++stage == Sizes<kRows>::kStages) stage = 0, parity ^= 1;
  }
};

// A tile's expert and first row of weights; of its rows, where they begin and how many there are.
// A block's first tile is taken even if its expert has no rows: its weights are on their way.
struct Tile {
  int group, row, begin, count, passes;
};
template <int kRows>
__device__ Tile tile_at(const Shared<kRows>& shared, const Few& f, int index) {
  const int group = index / f.tiles, begin = shared.offsets[group];
  const int count = shared.offsets[group + 1] - begin, passes = (count + kRows - 1) / kRows;
  const bool first = index == static_cast<int>(blockIdx.x);
  return {group, index % f.tiles * f.width, begin, count, first ? max(passes, 1) : passes};
}

__device__ void load_weights(unsigned char* to, uint64_t* full, const CUtensorMap& w, const Few& f,
                             int step, int row, int group) {
  load_box(to, w, full, step * kStep, row, group);
  load_box(to + kBoxBytes, w, full, step * kStep, row + f.up, group);
}

template <int kRows>
__device__ void produce(Shared<kRows>& shared, unsigned char* memory, const Few& f,
                        const CUtensorMap& x, const CUtensorMap& w, int ahead) {
  using Size = Sizes<kRows>;
  Pipeline<kRows> pipe;
  for (int i = blockIdx.x; i < f.groups * f.tiles; i += gridDim.x) {
    const Tile t = tile_at(shared, f, i);
    for (int pass = 0; pass < t.passes; ++pass)
#pragma unroll 1
      for (int step = 0; step < f.steps; ++step, pipe.advance()) {
        unsigned char* to = memory + pipe.stage * Size::kStageBytes;
        uint64_t* full = &shared.full[pipe.stage];
        if (ahead > 0) {
          --ahead;  // the weights are under way
        } else {
          wait(&shared.empty[pipe.stage], pipe.parity ^ 1);
          arrive_expecting(full, Size::kStageBytes);
          load_weights(to, full, w, f, step, t.row, t.group);
        }
        load_box(to + kWeightBytes, x, full, step * kStep, t.begin + pass * kRows);
      }
  }
}

// The thread holds of row 16 warp + g + 8 h of its 64 weights' rows, which is a column of y, the
// rows 8 j + 2 c + i of the pass in d[4 j + 2 h + i].
template <int kRows, class Value>
__device__ void store(const Few& f, const Tile& t, int pass, int col, Value&& value) {
  const int lane = threadIdx.x % 32, first = pass * kRows;
  col += static_cast<int>(threadIdx.x) % 128 / 32 * 16 + lane / 4;
#pragma unroll
  for (int j = 0; j < kRows / 8; ++j)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = first + 8 * j + lane % 4 * 2 + i % 2, at = col + i / 2 * 8;
      if (row < t.count && at < f.y.cols) f.y.row(t.begin + row)[at] = value(4 * j + i);
    }
}

// The warpgroup of `up` hands its numbers to that of the gate.
template <int kRows>
__device__ void store_gated(const Few& f, const Tile& t, int pass, const float (&d)[kRows / 2],
                            unsigned* up) {
  const int thread = threadIdx.x % 128;
  if (threadIdx.x >= 128)
#pragma unroll
    for (int i = 0; i < kRows / 4; ++i)
      up[i * 128 + thread] = pack_pair<Narrow>(d[2 * i], d[2 * i + 1]);
  asm volatile("bar.sync 1, %0;\n" ::"n"(kConsumers) : "memory");
  if (threadIdx.x >= 128) return;
  store<kRows>(f, t, pass, t.row, [&](int i) {
    const float2 both = unpack<Narrow>(up[i / 2 * 128 + thread]);
    const float u = i % 2 == 0 ? both.x : both.y;
    const float g = to_float(from_float<Narrow>(d[i]));
    return from_float<Narrow>(g * sigmoid(g) * u);
  });
}

template <int kRows, bool kGated>
__device__ void consume(Shared<kRows>& shared, unsigned char* memory, const Few& f) {
  using Size = Sizes<kRows>;
  const int group = threadIdx.x / 128;
  auto* up = reinterpret_cast<unsigned*>(memory + Size::kStages * Size::kStageBytes);
  const auto free_stage = [&](int stage) {
    if (threadIdx.x % 32 == 0) arrive(&shared.empty[stage]);
  };
  Pipeline<kRows> pipe;
  float d[kRows / 2];
  unsigned turn = 0;
  for (int i = blockIdx.x; i < f.groups * f.tiles; i += gridDim.x) {
    const Tile t = tile_at(shared, f, i);
    for (int pass = 0; pass < t.passes; ++pass) {
      int last = 0;
#pragma unroll 1
      for (int step = 0; step < f.steps; ++step, pipe.advance()) {
        unsigned char* at = memory + pipe.stage * Size::kStageBytes;
        wait(&shared.full[pipe.stage], pipe.parity);
        const uint64_t a = operand<false>(at + group * kBoxBytes);
        const uint64_t b = operand<false>(at + kWeightBytes);
        begin_products();
#pragma unroll
        for (int k = 0; k < kStep / 16; ++k)
          multiply_64<Narrow, false, false>(d, a + k * kNext16<false>, b + k * kNext16<false>,
                                            step + k > 0);
        end_products();
        if (step > 0) {
          wait_products<1>();
          free_stage(last);
        }
        last = pipe.stage;
      }
      wait_products<0>();
      free_stage(last);
      if constexpr (kGated) {
        // Two buffers in turn: the barrier between says that the one before has been read.
        store_gated<kRows>(f, t, pass, d, up + turn * (Size::kUpBytes / 4));
        turn ^= 1;
      } else {
        store<kRows>(f, t, pass, t.row + group * 64,
                     [&](int j) { return from_float<Narrow>(d[j]); });
      }
    }
  }
}

#endif

template <int kRows, bool kGated>
__global__ void __launch_bounds__(kThreads, 1)
    few_hopper(const __grid_constant__ CUtensorMap x, const __grid_constant__ CUtensorMap w,
               const Few f) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  using Size = Sizes<kRows>;
  extern __shared__ unsigned char raw[];
  __shared__ Shared<kRows> shared;
  unsigned char* memory = aligned_memory(raw);
  const int ahead = f.early ? min(f.steps, Size::kStages) : 0;
  if (threadIdx.x == 0) prefetch_map(x);
  if (threadIdx.x == kConsumers) {
    prefetch_map(w);
    for (int s = 0; s < Size::kStages; ++s) {
      init_barrier(&shared.full[s], 1);
      init_barrier(&shared.empty[s], kConsumerWarps);
    }
    publish_barriers();
    const int first = blockIdx.x;
    for (int s = 0; s < ahead; ++s) {
      arrive_expecting(&shared.full[s], Size::kStageBytes);
      load_weights(memory + s * Size::kStageBytes, &shared.full[s], w, f, s,
                   first % f.tiles * f.width, first / f.tiles);
    }
  }
  follow();
  for (int e = threadIdx.x; e <= f.groups; e += kThreads) shared.offsets[e] = f.offsets[e];
  __syncthreads();
  if (threadIdx.x < kConsumers) return consume<kRows, kGated>(shared, memory, f);
  if (threadIdx.x == kConsumers) produce<kRows>(shared, memory, f, x, w, ahead);
#endif
}

template <int kRows, bool kGated>
void launch(Context& ctx, const Tensor& x, const Tensor& w, const Few& f) {
  constexpr int kBytes = Sizes<kRows>::kBytes;
  const CUtensorMap rows = make_map(x, {x.cols(), x.rows(), 0}, kStep, kRows, true);
  const CUtensorMap weights = make_map(w, {w.dim(2), w.dim(1), w.dim(0)}, kStep, kLine, true);
  const auto kernel = few_hopper<kRows, kGated>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  const int blocks = std::min(f.groups * f.tiles, runtime_of(ctx).properties.multiProcessorCount);
  launch_following(ctx, kernel, {static_cast<unsigned>(blocks), kThreads, kBytes, 1, true}, rows,
                   weights, f);
}

template <bool kGated>
bool multiply(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
              const Tensor& offsets) {
  const int64_t groups = w.dim(0), n = y.cols(), each = x.rows() / groups;
  if (!grouped::fits_tiles(ctx, {x, w, y}, groups) || groups > kGroups || each > kMostRows ||
      y.dtype != kNarrow || w.row_stride != w.dim(2) || groups * n > int64_t{1} << 30)
    return false;
  const int width = kGated ? kLine : 2 * kLine;
  const Few f{.y = rows_of<Narrow>(y),
              .offsets = data_of<int32_t>(offsets),
              .groups = static_cast<int>(groups),
              .steps = static_cast<int>(blocks_for(x.cols(), kStep)),
              .tiles = static_cast<int>(blocks_for(n, width)),
              .up = kGated ? static_cast<int>(n) : kLine,
              .width = width,
              .early = is_recording(ctx)};
  each <= kFewRows ? launch<32, kGated>(ctx, x, w, f) : launch<64, kGated>(ctx, x, w, f);
  return true;
}

}  // namespace

template <>
bool grouped_few_hopper_of<kNarrow>(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                                    const Tensor& offsets) {
  return multiply<false>(ctx, y, x, w, offsets);
}

template <>
bool gated_few_hopper_of<kNarrow>(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                                  const Tensor& offsets) {
  return multiply<true>(ctx, y, x, w, offsets);
}

}  // namespace temper::cuda
