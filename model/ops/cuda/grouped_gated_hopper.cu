// The gate inside the products of experts, or of one layer, tile by tile. Forward: half of a tile's
// columns are the gate's, the other half the same ones of the second projection, so that a thread
// has both. Back: dz is not kept; while the next tile is multiplied, gate and second projection are
// read where dz is held, and their gradients and z are written. What a row's dz . y is in a tile
// goes to memory, to be added up in order of the tiles.
#include "model/ops/cuda/grouped_gated_hopper.h"

#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/grouped_gemm.h"
#include "model/ops/cuda/grouped_launch.h"
#include "model/ops/cuda/grouped_mainloop.h"
#include "model/ops/cuda/quad.h"
#include "model/ops/cuda/sigmoid.h"

namespace temper::cuda {
namespace {

using namespace grouped;

constexpr int kThreadsOfRows = 256;

// Of forward, beside the problem's C, which is `both` or null.
struct Gated {
  Narrow* act;
  int64_t stride;
};

struct GatedBack {
  const Narrow* gate_up;
  Narrow *dgate_up, *z;
  int64_t stride, d_stride, z_stride;
  const float* weight = nullptr;  // [R]; null: 1
  float* dots = nullptr;          // [R, tiles], or null
  int tiles = 0;
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

// The thread's first row of a tile; the other is 8 below.
__device__ inline int first_row(const Tile& t) {
  return t.row + static_cast<int>(threadIdx.x) / 32 * 16 + static_cast<int>(threadIdx.x) % 32 / 4;
}
// Four neighbours have 8 consecutive columns each of 32, when they have exchanged them.
__device__ inline int first_col() {
  return static_cast<int>(threadIdx.x) % 4 * 8;
}
__device__ inline void store_eight(Narrow* to, const unsigned (&p)[4]) {
  *reinterpret_cast<uint4*>(to) = make_uint4(p[0], p[1], p[2], p[3]);
}

struct GatedEpilogue {
  static constexpr int kParts = 8;  // 32 columns of each projection, of one of the two rows
  const Problem& p;
  const Gated& g;
  Narrow *both = nullptr, *act = nullptr;
  int rows = 0;  // that there are from the thread's first one
  unsigned held[kTileCols / 4] = {};

  __device__ void prepare(const Tile&) {}
  __device__ void finish(float (&d)[128], const Tile& t) {
    const int row = first_row(t), col = t.col / 2 + first_col();
    both = static_cast<Narrow*>(p.c) + row * p.stride + col;
    act = g.act + row * g.stride + col;
    rows = t.col < p.cols ? t.end - row : 0;
#pragma unroll
    for (int i = 0; i < kTileCols / 4; ++i) held[i] = pack_pair<Narrow>(d[2 * i], d[2 * i + 1]);
  }
  __device__ void part(int i) {
    const int block = i / 2, half = i % 2;
    unsigned gate[4], up[4], out[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      gate[k] = held[block * 8 + half + 2 * k];
      up[k] = held[32 + block * 8 + half + 2 * k];
    }
    transpose_four(gate);
    transpose_four(up);
    if (half * 8 >= rows) return;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float2 x = unpack<Narrow>(gate[k]), u = unpack<Narrow>(up[k]);
      out[k] = pack_pair<Narrow>(x.x * sigmoid(x.x) * u.x, x.y * sigmoid(x.y) * u.y);
    }
    store_eight(act + half * 8 * g.stride + block * 32, out);
    if (p.c == nullptr) return;
    Narrow* to = both + half * 8 * p.stride + block * 32;
    store_eight(to, gate);
    store_eight(to + p.cols / 2, up);
  }
};

// Gates and second projections on their way to shared memory for the parts that come next. Each
// thread reads what it has asked for itself, so that nothing waits for another one.
constexpr int kAhead = 3;  // parts: with one, steps took twice as long as their products
struct ComingGates {
  uint4 at[kAhead][2][kConsumers];

  __device__ void ask(int part, const Narrow* from, int to_second) {
    copy_later(reinterpret_cast<Narrow*>(&at[part % kAhead][0][threadIdx.x]), from, true);
    copy_later(reinterpret_cast<Narrow*>(&at[part % kAhead][1][threadIdx.x]), from + to_second,
               true);
  }
  __device__ uint4 gate(int part) const { return at[part % kAhead][0][threadIdx.x]; }
  __device__ uint4 up(int part) const { return at[part % kAhead][1][threadIdx.x]; }
};

struct GatedBackEpilogue {
  static constexpr int kParts = 16;  // 32 columns of one of the two rows
  const Problem& p;
  const GatedBack& g;
  ComingGates& coming;
  int row = 0, col = 0, end = 0;  // the thread's first number in dz; the group's last row
  float weight[2] = {}, dot[2] = {};
  unsigned held[kTileCols / 4] = {};

  __device__ bool valid(int half) const { return row + half * 8 < end; }
  __device__ bool valid(int block, int half) const {
    return valid(half) && col + block * 32 < p.cols;
  }
  __device__ void ask(int i) {
    const int block = i / 2, half = i % 2;
    if (i < kParts && valid(block, half))
      coming.ask(i, g.gate_up + (row + half * 8) * g.stride + col + block * 32, p.cols);
    end_copy_group();
  }
  __device__ void prepare(const Tile& t) {
    row = first_row(t), col = t.col + first_col(), end = t.end;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      weight[half] = valid(half) && g.weight != nullptr ? g.weight[row + half * 8] : 1.0F;
      dot[half] = 0.0F;
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) ask(i);
  }
  __device__ void finish(float (&d)[128], const Tile&) {
#pragma unroll
    for (int i = 0; i < kTileCols / 4; ++i) held[i] = pack_pair<Narrow>(d[2 * i], d[2 * i + 1]);
  }
  __device__ void part(int i) {
    const int block = i / 2, half = i % 2;
    unsigned dz[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) dz[k] = held[block * 8 + half + 2 * k];
    transpose_four(dz);
    wait_copies<kAhead - 1>();
    if (valid(block, half)) back(dz, coming.gate(i), coming.up(i), col + block * 32, half);
    ask(i + kAhead);
    if (block + 1 < kTileCols / 32 || g.dots == nullptr) return;
    float sum = dot[half];
    sum += __shfl_xor_sync(0xffffffffU, sum, 1);
    sum += __shfl_xor_sync(0xffffffffU, sum, 2);
    // Of two tiles apart one may be empty.
    if (threadIdx.x % 4 == 0 && valid(half) && col < p.cols)
      g.dots[static_cast<int64_t>(row + half * 8) * g.tiles + col / kTileCols] = sum;
  }
  __device__ void back(const unsigned (&dz)[4], const uint4& gates_at, const uint4& ups_at, int at,
                       int half) {
    const unsigned gate[4] = {gates_at.x, gates_at.y, gates_at.z, gates_at.w};
    const unsigned up[4] = {ups_at.x, ups_at.y, ups_at.z, ups_at.w};
    unsigned dgate[4], dup[4], z[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float2 x = unpack<Narrow>(gate[k]), u = unpack<Narrow>(up[k]),
                   d = unpack<Narrow>(dz[k]);
      float2 to_gate, to_up, to_z;
      one(x.x, u.x, d.x, half, to_gate.x, to_up.x, to_z.x);
      one(x.y, u.y, d.y, half, to_gate.y, to_up.y, to_z.y);
      dgate[k] = pack_pair<Narrow>(to_gate.x, to_gate.y);
      dup[k] = pack_pair<Narrow>(to_up.x, to_up.y);
      z[k] = pack_pair<Narrow>(to_z.x, to_z.y);
    }
    Narrow* to = g.dgate_up + (row + half * 8) * g.d_stride + at;
    store_eight(to, dgate);
    store_eight(to + p.cols, dup);
    store_eight(g.z + (row + half * 8) * g.z_stride + at, z);
  }
  __device__ void one(float x, float u, float d, int half, float& dgate, float& dup, float& z) {
    const float s = sigmoid(x), silu = x * s, y = silu * u, grad = weight[half] * d;
    z = weight[half] * y;
    dot[half] += d * y;
    dup = grad * silu;
    dgate = grad * u * s * (1.0F + x * (1.0F - s));
  }
};

#endif

template <Pick kPick>
__global__ void __launch_bounds__(kThreads, 1)
    gated_kernel(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                 const Problem p, const Gated g) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  run_tiles<Narrow, Kind::gated, kPick>(p, a, b, [&] { return GatedEpilogue{p, g}; });
#endif
}

template <Pick kPick>
__global__ void __launch_bounds__(kThreads, 1)
    back_kernel(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                const Problem p, const GatedBack g) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  __shared__ ComingGates coming;
  run_tiles<Narrow, Kind::input_grad, kPick>(p, a, b, [&] {
    return GatedBackEpilogue{p, g, coming};
  });
#endif
}

// A thread a choice: its weight to its row.
__global__ void __launch_bounds__(kThreadsOfRows)
    weights_kernel(float* of_row, const float* weights, const int32_t* row_of, int64_t count) {
  follow();
  const int64_t choice = int64_t{blockIdx.x} * kThreadsOfRows + threadIdx.x;
  if (choice < count) of_row[row_of[choice]] = weights[choice];
}

// A thread a choice: its row's dots in order of the tiles.
__global__ void __launch_bounds__(kThreadsOfRows)
    dots_kernel(float* dweights, bool fresh, const float* dots, int tiles, const int32_t* row_of,
                int64_t count) {
  follow();
  const int64_t choice = int64_t{blockIdx.x} * kThreadsOfRows + threadIdx.x;
  if (choice >= count) return;
  const float* of_row = dots + int64_t{row_of[choice]} * tiles;
  float sum = 0.0F;
  for (int i = 0; i < tiles; ++i) sum += of_row[i];
  dweights[choice] = fresh ? sum : dweights[choice] + sum;
}

// Without offsets there is one group, whose product cuBLASLt takes unless each multiprocessor gets
// many tiles: on an H100 21 gained 1 ms of 220, 4 lost some.
constexpr int64_t kManyTiles = 6;
bool worth_it(const Context& ctx, const PickedRows& rows, const Tensor& offsets, int64_t cols) {
  if (offsets.data != nullptr) return !few_rows(rows, offsets.numel() - 1);
  const int64_t tiles = int64_t{blocks_for(rows.rows(), kTileRows)} * blocks_for(cols, kTileCols);
  return tiles >= kManyTiles * ctx.cuda->properties.multiProcessorCount;
}

bool aligned_rows(const Tensor& t) {
  return t.data == nullptr ||
         (t.dtype == kNarrow && reinterpret_cast<uintptr_t>(t.data) % 16 == 0 &&
          t.row_stride % 8 == 0);
}

}  // namespace

template <>
bool grouped_gated_hopper_of<kNarrow>(Context& ctx, const Tensor& y, const Tensor& both,
                                      const PickedRows& x, const Tensor& w, const Tensor& offsets) {
  const int64_t inner = y.cols();
  if (w.empty() || inner % (kTileCols / 2) != 0 || !worth_it(ctx, x, offsets, 2 * inner))
    return false;
  if (!fits_tiles(ctx, {x.from, w, y}, w.dim(0)) || !aligned_rows(both)) return false;
  const PickedRows rows = better_laid_out(x, 2 * inner) ? laid_out(ctx, x) : x;
  const Problem p{.c = both.data,
                  .stride = both.row_stride,
                  .rows = static_cast<int>(rows.rows()),
                  .cols = static_cast<int>(2 * inner),
                  .inner = static_cast<int>(x.cols()),
                  .offsets = data_of<int32_t>(offsets),
                  .groups = static_cast<int>(w.dim(0)),
                  .pick = picking_of(rows)};
  const Gated g{data_of<Narrow>(y), y.row_stride};
  auto* kernel = rows.picked() ? gated_kernel<Pick::left> : gated_kernel<Pick::none>;
  launch_tiles<Kind::gated>(ctx, kernel, rows_map(rows.from), weights_map(w, Kind::gated), p, g);
  return true;
}

template <>
bool grouped_gated_backward_hopper_of<kNarrow>(Context& ctx, const GatedGrads& grads,
                                               const PickedRows& dy, const GatedLayer& layer) {
  const auto& [gate_up, down, offsets, choices] = layer;
  const int64_t inner = grads.z.cols(), rows = dy.rows(), tiles = blocks_for(inner, kTileCols);
  if (down.empty() || !worth_it(ctx, dy, offsets, inner)) return false;
  if (!fits_tiles(ctx, {dy.from, down, grads.z}, down.dim(0)) || !aligned_rows(gate_up) ||
      !aligned_rows(grads.dgate_up))
    return false;
  GatedBack g{data_of<Narrow>(gate_up), data_of<Narrow>(grads.dgate_up), data_of<Narrow>(grads.z),
              gate_up.row_stride,       grads.dgate_up.row_stride,       grads.z.row_stride};
  const int64_t count = choices.row_of.numel();
  const LaunchShape each{blocks_for(count, kThreadsOfRows), kThreadsOfRows};
  const int32_t* row_of = data_of<int32_t>(choices.row_of);
  if (row_of != nullptr) {
    const Tensor weight = ctx.scratch.tensor("gated.weight", DType::f32, {rows});
    const Tensor dots = ctx.scratch.tensor("gated.dots", DType::f32, {rows, tiles});
    launch_following(ctx, weights_kernel, each, data_of<float>(weight),
                     data_of<float>(choices.weights), row_of, count);
    g.weight = data_of<float>(weight), g.dots = data_of<float>(dots);
    g.tiles = static_cast<int>(tiles);
  }
  const Problem p{.rows = static_cast<int>(rows),
                  .cols = static_cast<int>(inner),
                  .inner = static_cast<int>(dy.cols()),
                  .offsets = data_of<int32_t>(offsets),
                  .groups = static_cast<int>(down.dim(0)),
                  .pick = picking_of(dy)};
  auto* kernel = dy.picked() ? back_kernel<Pick::left> : back_kernel<Pick::none>;
  launch_tiles<Kind::input_grad>(ctx, kernel, rows_map(dy.from),
                                 weights_map(down, Kind::input_grad), p, g);
  if (row_of != nullptr)
    launch_following(ctx, dots_kernel, each, data_of<float>(grads.dweights), grads.dweights.fresh,
                     g.dots, g.tiles, row_of, count);
  return true;
}

}  // namespace temper::cuda
