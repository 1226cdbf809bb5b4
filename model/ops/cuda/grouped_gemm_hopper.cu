// A block is one thread that keeps the copy engine busy, four stages ahead, and two warpgroups that
// multiply: 128 x 256 of the result, 64 rows each. As many blocks as the card has multiprocessors
// take tiles until none is left; while the results of a tile are stored, the next one's operands
// arrive. Blocks of a pair take tiles above each other and load half of the right operand each,
// for both.
//
// The maps that the copy engine follows describe whole tensors: a tile that runs over its group's
// end computes rows that nobody stores. Only where the group's rows are the inner dimension (the
// weights' gradient) do the rows behind its end count: they are zeroed in shared memory.
#include "model/ops/cuda/grouped_gemm_hopper.h"

#include "model/ops/cuda/grouped_tiles.h"
#include "model/ops/cuda/hopper.h"
#include "model/ops/cuda/quad.h"
#include "model/ops/cuda/tensor_map.h"

namespace temper::cuda {
namespace {

using namespace grouped;

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

template <Kind kKind>
__device__ void load_step(unsigned char* to, uint64_t* full, const CUtensorMap& a,
                          const CUtensorMap& b, const Tile& t, int step, unsigned rank) {
  const int inner = step * kStep;
  unsigned char* right = to + kABytes;
  arrive_expecting(full, kStageBytes);
  if constexpr (kKind == Kind::weight_grad) {
#pragma unroll
    for (int i = 0; i < kTileRows / kLine; ++i)
      load_box(to + i * kBoxBytes, a, full, t.row + i * kLine, t.begin + inner);
#pragma unroll
    for (int i = 0; i < kTileCols / kLine; ++i)
      load_box(right + i * kBoxBytes, b, full, t.col + i * kLine, t.begin + inner, 0);
  } else {
    load_box(to, a, full, inner, t.row);
    constexpr int kHalf = kTileCols / 2;
    if constexpr (kKind == Kind::forward) {
      load_box_to(right + rank * (kBBytes / 2), b, full, inner, t.col + rank * kHalf, t.group, 3);
    } else {
#pragma unroll
      for (int i = 0; i < kHalf / kLine; ++i) {
        const int box = rank * (kHalf / kLine) + i;
        load_box_to(right + box * kBoxBytes, b, full, t.col + box * kLine, inner, t.group, 3);
      }
    }
  }
}

template <Kind kKind>
__device__ void produce(Shared& shared, unsigned char* memory, const Problem& p,
                        const CUtensorMap& a, const CUtensorMap& b) {
  constexpr int kPair = pair_size(kKind);
  const unsigned rank = kPair > 1 ? cluster_rank() : 0;
  const int workers = gridDim.x / kPair;
  Schedule<kKind> schedule(shared, p);
  Pipeline pipe;
  int index = blockIdx.x / kPair;
  for (int n = 0;; ++n) {
    const Tile t = schedule.tile(index, rank);
    // The next index is on its way while this tile is loaded; the first ones are the blocks' own.
    index = kKind == Kind::weight_grad ? workers + static_cast<int>(atomicAdd(p.counter, 1U))
                                       : index + workers;
    wait(&shared.heard[n % 2], (n / 2 & 1) ^ 1);
    shared.tiles[n % 2] = t;
    arrive(&shared.told[n % 2]);
    if (t.group < 0) return;
#pragma unroll 1
    for (int step = 0; step < t.steps; ++step, pipe.advance()) {
      wait(&shared.empty[pipe.stage], pipe.parity ^ 1);
      load_step<kKind>(memory + pipe.stage * kStageBytes, &shared.full[pipe.stage], a, b, t, step,
                       rank);
    }
  }
}

// Rows from `valid` of the step's boxes become zero: what they hold belongs to the next group.
__device__ void zero_rows(unsigned char* stage, int valid) {
  constexpr int kPacks = kLine * 2 / 16, kBoxes = kStageBytes / kBoxBytes;
  const int rows = kStep - valid;
  for (int i = threadIdx.x; i < kBoxes * rows * kPacks; i += kConsumers) {
    const int box = i / (rows * kPacks), pack = i % (rows * kPacks);
    *reinterpret_cast<uint4*>(stage + box * kBoxBytes + valid * kLine * 2 + pack * 16) =
        make_uint4(0, 0, 0, 0);
  }
  fence_shared_writes();
  asm volatile("bar.sync 1, %0;\n" ::"n"(kConsumers) : "memory");
}

// 32 columns of one row, four threads a row: 16 bytes each. `before` is what C held.
template <bool kAdd>
__device__ void store_bf16(bf16* to, const float* d, uint4 before, bool valid) {
  unsigned old[4] = {before.x, before.y, before.z, before.w}, p[4];
  if (kAdd) transpose_four(old);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 was = kAdd ? unpack(old[i]) : make_float2(0.0F, 0.0F);
    p[i] = pack_pair(was.x + d[4 * i], was.y + d[4 * i + 1]);
  }
  transpose_four(p);
  if (valid) *reinterpret_cast<uint4*>(to) = make_uint4(p[0], p[1], p[2], p[3]);
}

// What a thread takes to C: 16 bytes of rows `row` and `row` + 8 in each 32 columns.
struct Place {
  bf16* at;
  int64_t stride;
  int rows, cols;  // that there are from here
  __device__ bool valid(int block, int half) const { return half * 8 < rows && block * 32 < cols; }
  __device__ bf16* to(int block, int half) const { return at + half * 8 * stride + block * 32; }
};
constexpr int kBlocks = kTileCols / 32, kEarly = 4;  // kEarly: blocks that are read ahead

__device__ inline void read_early(uint4 (&before)[2], const Place& place, int block) {
#pragma unroll
  for (int half = 0; half < 2; ++half)
    if (place.valid(block, half))
      before[half] = *reinterpret_cast<const uint4*>(place.to(block, half));
}

template <bool kAdd>
__device__ void store(const float (&d)[128], uint4 (&before)[kEarly][2], const Place& place) {
#pragma unroll
  for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
    for (int half = 0; half < 2; ++half)
      store_bf16<kAdd>(place.to(block, half), d + block * 16 + half * 2,
                       before[block % kEarly][half], place.valid(block, half));
    if (kAdd && block + kEarly < kBlocks) read_early(before[block % kEarly], place, block + kEarly);
  }
}

// A warp's 16 rows of dw: 32 columns at a time through its buffer, added by the copy engine. Nobody
// else adds to this tile in this launch, so the bits are the same each time.
__device__ void add_f32(const float (&d)[128], const CUtensorMap& map, unsigned char* buffer,
                        const Problem& p, const Tile& t, int row, int lane) {
  const int g = lane / 4, c = lane % 4;
#pragma unroll
  for (int block = 0; block < kTileCols / 32; ++block) {
    if (t.col + block * 32 >= p.cols) break;
    if (lane == 0) wait_boxes_read();
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 8; ++i) {  // lines of 128 bytes, whose 16 bytes are swizzled
      const int half = i % 2, pack = (i / 2 * 2 + c / 2) ^ g;
      const int at = block * 16 + i / 2 * 4 + half * 2;
      *reinterpret_cast<float2*>(buffer + (g + half * 8) * 128 + pack * 16 + c % 2 * 8) =
          make_float2(d[at], d[at + 1]);
    }
    fence_shared_writes();
    __syncwarp();
    if (lane == 0) add_box(map, buffer, t.col + block * 32, row, t.group);
  }
}

template <Kind kKind>
__device__ void consume(Shared& shared, unsigned char* memory, const Problem& p,
                        const CUtensorMap& c) {
  constexpr bool kAAcross = !is_rows(kKind), kBAcross = kKind != Kind::forward;
  constexpr int kPair = pair_size(kKind);
  const int group = threadIdx.x / 128, lane = threadIdx.x % 32;
  const auto free_stage = [&](int stage) {
    if (lane >= kPair) return;
    if constexpr (kPair > 1) arrive_at(&shared.empty[stage], lane);
    if constexpr (kPair == 1) arrive(&shared.empty[stage]);
  };
  float d[128];
  Pipeline pipe;
  for (int n = 0;; ++n) {
    wait(&shared.told[n % 2], n / 2 & 1);
    const Tile t = shared.tiles[n % 2];
    __syncwarp();
    if (lane == 0) arrive(&shared.heard[n % 2]);
    if (t.group < 0) break;
    int last = 0;
#pragma unroll 1
    for (int step = 0; step < t.steps; ++step, pipe.advance()) {
      unsigned char* at = memory + pipe.stage * kStageBytes;
      wait(&shared.full[pipe.stage], pipe.parity);
      if (!is_rows(kKind) && (step + 1) * kStep > t.count) zero_rows(at, t.count - step * kStep);
      const uint64_t a = operand<kAAcross>(at + group * kBoxBytes);
      const uint64_t b = operand<kBAcross>(at + kABytes);
      begin_products();
#pragma unroll
      for (int i = 0; i < kStep / 16; ++i)
        multiply_64_256<kAAcross, kBAcross>(d, a + i * kNext16<kAAcross>, b + i * kNext16<kBAcross>,
                                            step + i > 0);
      end_products();
      if (step > 0) {
        wait_products<1>();
        free_stage(last);
      }
      last = pipe.stage;
    }
    const int row = t.row + group * 64 + threadIdx.x % 128 / 32 * 16 + lane / 4;
    if constexpr (kKind == Kind::weight_grad) {
      wait_products<0>();
      free_stage(last);
      add_f32(d, c, memory + kStages * kStageBytes + threadIdx.x / 32 * kBufferBytes, p, t,
              row - lane / 4, lane);
    } else {
      const int col = t.col + lane % 4 * 8;
      const Place place{static_cast<bf16*>(p.c) + row * p.stride + col, p.stride, t.end - row,
                        p.cols - col};
      uint4 before[kEarly][2] = {};
      if (kKind == Kind::input_grad)
#pragma unroll
        for (int block = 0; block < kEarly; ++block) read_early(before[block], place, block);
      wait_products<0>();
      free_stage(last);
      store<kKind == Kind::input_grad>(d, before, place);
    }
  }
  if (kKind == Kind::weight_grad && lane == 0) wait_boxes_read();
}

#endif

template <Kind kKind>
__global__ void __launch_bounds__(kThreads, 1)
    grouped_kernel(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                   const __grid_constant__ CUtensorMap c, const Problem p) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ unsigned char raw[];
  __shared__ Shared shared;
  unsigned char* memory = aligned_memory(raw);
  constexpr int kPair = pair_size(kKind);
  if (threadIdx.x == 0) {
    for (int s = 0; s < kStages; ++s) {
      init_barrier(&shared.full[s], 1);
      init_barrier(&shared.empty[s], kConsumerWarps * kPair);
    }
    for (int s = 0; s < 2; ++s) {
      init_barrier(&shared.told[s], 1);
      init_barrier(&shared.heard[s], kConsumerWarps);
    }
    publish_barriers();
  }
  order_groups<kKind>(shared, p);
  if constexpr (kPair > 1) synchronize_cluster();
  if (threadIdx.x >= kConsumers) {
    give_registers<40>();
    if (threadIdx.x == kConsumers) produce<kKind>(shared, memory, p, a, b);
  } else {
    take_registers<232>();
    consume<kKind>(shared, memory, p, c);
  }
  // No block leaves while its partner may still write or arrive here.
  if constexpr (kPair > 1) {
    __syncwarp();
    synchronize_cluster();
  }
#endif
}

// ---- Host
// -------------------------------------------------------------------------------------------
bool aligned(const Tensor& t) {
  const int64_t pack = t.dtype == DType::f32 ? 4 : 8;
  return reinterpret_cast<uintptr_t>(t.data) % 16 == 0 && t.row_stride % pack == 0 &&
         t.cols() % 8 == 0 && t.rows() < (int64_t{1} << 31) - kTileRows * 2;
}

bool fits(const Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c, int64_t groups) {
  return ctx.cuda->properties.major == 9 && a.dtype == DType::bf16 && b.dtype == DType::bf16 &&
         groups <= kMaxGroups && aligned(a) && aligned(b) && aligned(c);
}

template <Kind kKind>
void launch(Context& ctx, const CUtensorMap& a, const CUtensorMap& b, const CUtensorMap& c,
            const Problem& p) {
  constexpr int kPair = pair_size(kKind);
  check(cudaFuncSetAttribute(grouped_kernel<kKind>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             kSharedBytes));
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {kPair, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = static_cast<unsigned>(ctx.cuda->properties.multiProcessorCount / kPair * kPair);
  config.blockDim = kThreads;
  config.dynamicSmemBytes = kSharedBytes;
  config.stream = stream_of(ctx);
  config.attrs = &attribute;
  config.numAttrs = 1;
  check(cudaLaunchKernelEx(&config, grouped_kernel<kKind>, a, b, c, p));
}

template <Kind kKind>
bool multiply_rows(Context& ctx, const Tensor& c, const Tensor& a, const Tensor& w,
                   const Tensor& offsets) {
  constexpr bool kForward = kKind == Kind::forward;
  const int64_t groups = w.dim(0), n = w.dim(1), k = w.dim(2);
  if (!fits(ctx, a, w, c, groups) || c.dtype != DType::bf16 || w.row_stride != k) return false;
  const CUtensorMap from = make_map(a, {a.cols(), a.rows(), 0}, kLine, kTileRows, true);
  const CUtensorMap weights =
      make_map(w, {k, n, groups}, kLine, kForward ? kTileCols / 2 : kLine, true);
  const Problem p{c.data,
                  c.row_stride,
                  0,
                  static_cast<int>(c.cols()),
                  static_cast<int>(a.cols()),
                  data_of<int32_t>(offsets),
                  static_cast<int>(groups),
                  nullptr};
  launch<kKind>(ctx, from, weights, {}, p);  // C has no map
  return true;
}

}  // namespace

bool grouped_forward_hopper(Context& ctx, const Tensor& y, const Tensor& x, const Tensor& w,
                            const Tensor& offsets) {
  return multiply_rows<Kind::forward>(ctx, y, x, w, offsets);
}

bool grouped_input_grad_hopper(Context& ctx, const Tensor& dx, const Tensor& dy, const Tensor& w,
                               const Tensor& offsets) {
  return multiply_rows<Kind::input_grad>(ctx, dx, dy, w, offsets);
}

bool grouped_weight_grad_hopper(Context& ctx, const Tensor& dw, const Tensor& dy, const Tensor& x,
                                const Tensor& offsets) {
  const int64_t groups = dw.dim(0), n = dw.dim(1), k = dw.dim(2);
  if (!fits(ctx, dy, x, dw, groups) || dw.dtype != DType::f32 || dw.row_stride != k) return false;
  const CUtensorMap left = make_map(dy, {n, dy.rows(), 0}, kLine, kLine, true);
  const CUtensorMap right = make_map(x, {k, x.rows(), 1}, kLine, kLine, true);
  const CUtensorMap to = make_map(dw, {k, n, groups}, 32, 16, true);
  const ArenaScope scope(ctx.scratch);
  const Tensor counter = ctx.scratch.tensor("grouped_gemm.counter", DType::i32, {1});
  check(cudaMemsetAsync(counter.data, 0, sizeof(unsigned), stream_of(ctx)));
  const Problem p{dw.data,
                  k,
                  static_cast<int>(n),
                  static_cast<int>(k),
                  0,
                  data_of<int32_t>(offsets),
                  static_cast<int>(groups),
                  static_cast<unsigned*>(counter.data)};
  launch<Kind::weight_grad>(ctx, left, right, to, p);
  return true;
}

}  // namespace temper::cuda
