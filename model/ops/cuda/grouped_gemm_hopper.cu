// The experts' products on Hopper (grouped_gemm_hopper.h). A block is one thread that keeps the
// copy engine busy, four stages ahead, and two warpgroups that multiply: 128 x 256 of the result,
// 64 rows each. As many blocks as the card has multiprocessors take tiles until none is left. The
// results of a tile, rounded, wait in registers and are stored while the next one is multiplied.
// Blocks of a pair take tiles above each other and load half of the right operand each, for both.
//
// The maps that the copy engine follows describe whole tensors: a tile that runs over its group's
// end computes rows that nobody stores. Only where the group's rows are the inner dimension (the
// weights' gradient) do the rows behind its end count: they are zeroed in shared memory.
#include "model/ops/cuda/grouped_gemm_hopper.h"

#include "model/ops/cuda/each_narrow.h"
#include "model/ops/cuda/grouped_launch.h"
#include "model/ops/cuda/grouped_mainloop.h"
#include "model/ops/cuda/grouped_store.h"
#include "model/ops/gradient_squares.h"

namespace temper::cuda {
namespace {

using namespace grouped;

// kAdd: the result is added to C, else written.
template <Kind kKind, bool kAdd, Pick kPick>
__global__ void __launch_bounds__(kThreads, 1)
    grouped_kernel(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                   const Problem p) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  run_tiles<Narrow, kKind, kPick>(p, a, b, [&] {
    if constexpr (kKind == Kind::weight_grad) {
      return WeightsEpilogue<kAdd>{p};
    } else {
      return RowsEpilogue<Narrow, kAdd>{p};
    }
  });
#endif
}

template <Kind kKind>
bool multiply_rows(Context& ctx, const Tensor& c, bool add, const PickedRows& a, const Tensor& w,
                   const Tensor& offsets) {
  const int64_t groups = w.dim(0);
  const bool fits = fits_tiles(ctx, {a.from, w, c}, groups);
  if (!fits || c.dtype != kNarrow || w.row_stride != w.dim(2)) return false;
  const Problem p{.c = c.data,
                  .stride = c.row_stride,
                  .cols = static_cast<int>(c.cols()),
                  .inner = static_cast<int>(a.cols()),
                  .offsets = data_of<int32_t>(offsets),
                  .groups = static_cast<int>(groups),
                  .add = add,
                  .pick = picking_of(a)};
  auto* kernel = a.picked() ? grouped_kernel<kKind, false, Pick::left>
                            : grouped_kernel<kKind, false, Pick::none>;
  if constexpr (kKind == Kind::input_grad)
    if (add)
      kernel = a.picked() ? grouped_kernel<kKind, true, Pick::left>
                          : grouped_kernel<kKind, true, Pick::none>;
  launch_tiles<kKind>(ctx, kernel, rows_map(a.from), weights_map(w, kKind), p);
  return true;
}

}  // namespace

template <>
bool grouped_forward_hopper_of<kNarrow>(Context& ctx, const Tensor& y, const PickedRows& x,
                                        const Tensor& w, const Tensor& offsets) {
  return multiply_rows<Kind::forward>(ctx, y, false, x, w, offsets);
}

template <>
bool grouped_input_grad_hopper_of<kNarrow>(Context& ctx, const Grad& dx, const PickedRows& dy,
                                           const Tensor& w, const Tensor& offsets) {
  return multiply_rows<Kind::input_grad>(ctx, dx, !dx.fresh, dy, w, offsets);
}

template <>
bool grouped_weight_grad_hopper_of<kNarrow>(Context& ctx, const Grad& dw, const PickedRows& dy,
                                            const PickedRows& x, const Tensor& offsets) {
  const int64_t groups = dw.dim(0), n = dw.dim(1), k = dw.dim(2);
  const bool fits = fits_tiles(ctx, {dy.from, x.from, dw}, groups);
  if (!fits || dw.dtype != DType::f32 || dw.row_stride != k) return false;
  const ArenaScope scope(ctx.scratch);
  const Tensor second = laid_out(ctx, x);
  const CUtensorMap left = make_map(dy.from, {n, dy.from.rows(), 0}, kLine, kLine, true);
  const CUtensorMap right = make_map(second, {k, second.rows(), 1}, kLine, kLine, true);
  const Tensor counter = ctx.scratch.tensor("grouped_gemm.counter", DType::i32, {1});
  check(cudaMemsetAsync(counter.data, 0, sizeof(unsigned), stream_of(ctx)));
  float* squares = nullptr;
  if (dw.fresh && dw.squares != nullptr) {
    const int64_t tiles = groups * blocks_for(n, kTileRows) * blocks_for(k, kTileCols);
    squares = data_of<float>(dw.squares->leave(dw, tiles * kConsumerWarps));
  }
  const Problem p{.c = dw.data,
                  .stride = k,
                  .rows = static_cast<int>(n),
                  .cols = static_cast<int>(k),
                  .offsets = data_of<int32_t>(offsets),
                  .groups = static_cast<int>(groups),
                  .counter = static_cast<unsigned*>(counter.data),
                  .add = !dw.fresh,
                  .squares = squares,
                  .pick = picking_of(dy)};
  constexpr Kind kKind = Kind::weight_grad;
  auto* kernel = dy.picked() ? (dw.fresh ? grouped_kernel<kKind, false, Pick::left>
                                         : grouped_kernel<kKind, true, Pick::left>)
                             : (dw.fresh ? grouped_kernel<kKind, false, Pick::none>
                                         : grouped_kernel<kKind, true, Pick::none>);
  launch_tiles<kKind>(ctx, kernel, left, right, p);
  return true;
}

}  // namespace temper::cuda
