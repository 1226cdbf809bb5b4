#include "model/ops/gated_linear.h"

#include "core/device.h"
#include "model/ops/check.h"
#include "model/ops/cuda/grouped_few_hopper.h"
#include "model/ops/cuda/grouped_gated_hopper.h"
#include "model/ops/linear.h"

namespace temper {
namespace {

// One matrix as the only one of a group.
Tensor only(const Tensor& w) {
  return w.contiguous() ? w.reshape({1, w.dim(0), w.dim(1)}) : Tensor{};
}

void check_forward(const Tensor& y, const Tensor& both, const PickedRows& x, const Tensor& w) {
  check_alike({y, both, x.from, w});
  require(w.rows() % (2 * y.cols()) == 0 && w.cols() == x.cols(), "gated: w is not [2I, K]");
  check_rows_cols(y, x.rows(), y.cols(), "gated: y");
  if (both.data != nullptr) check_rows_cols(both, x.rows(), 2 * y.cols(), "gated: both");
}

void check_backward(const GatedGrads& grads, const PickedRows& dy, const Tensor& gate_up,
                    const Tensor& down) {
  check_alike({dy.from, gate_up, grads.dgate_up, down, grads.z});
  const int64_t inner = grads.z.cols();
  for (const Tensor& t : {gate_up, grads.dgate_up})
    check_rows_cols(t, dy.rows(), 2 * inner, "gated: gate and up");
  check_rows_cols(grads.z, dy.rows(), inner, "gated: z");
  require(down.cols() == inner && down.rows() % dy.cols() == 0, "gated: down is not [d, I]");
}

// What the products gave, before the gate: `both`, or scratch of the caller's scope.
Tensor room_for(Context& ctx, const Tensor& both, const Tensor& y) {
  if (both.data != nullptr) return both;
  return ctx.scratch.tensor("gated.both", y.dtype, {y.rows(), 2 * y.cols()});  // [R, 2I]
}

}  // namespace

void grouped_gated_forward(Context& ctx, Tensor y, Tensor both, const PickedRows& x, Tensor w,
                           Tensor offsets) {
  check_forward(y, both, x, w);
  require(w.rank == 3 && w.dim(1) == 2 * y.cols() && w.contiguous(),
          "gated: w is not a contiguous [E, 2I, K]");
  check_i32(offsets, "gated: offsets");
  check_shape(offsets, {w.dim(0) + 1}, "gated: offsets");
  if (y.empty()) return;
  ArenaScope scope(ctx.scratch);
  if constexpr (kWithCuda) {
    if (y.device == Device::cuda) {
      if (both.data == nullptr && !x.picked() && cuda::gated_few_hopper(ctx, y, x.from, w, offsets))
        return;
      if (cuda::grouped_gated_hopper(ctx, y, both, x, w, offsets)) return;
    }
  }
  const int64_t inner = y.cols();
  const Tensor products = room_for(ctx, both, y);
  grouped_linear_forward(ctx, products, x, w, offsets);
  swiglu_forward(ctx, y, products.slice_cols(0, inner), products.slice_cols(inner, inner));
}

void grouped_gated_backward(Context& ctx, const GatedGrads& grads, const PickedRows& dy,
                            const GatedLayer& layer) {
  const auto& [gate_up, down, offsets, rows] = layer;
  check_backward(grads, dy, gate_up, down);
  const int64_t inner = grads.z.cols();
  ArenaScope scope(ctx.scratch);
  if constexpr (kWithCuda)
    if (gate_up.device == Device::cuda &&
        cuda::grouped_gated_backward_hopper(ctx, grads, dy, layer))
      return;
  const Tensor dz = ctx.scratch.tensor("gated.dz", gate_up.dtype, {dy.rows(), inner});  // [R, I]
  grouped_linear_backward(ctx, {.dx = fresh(dz)}, dy, grads.z, down, offsets);
  weighted_swiglu_backward(
      ctx,
      {fresh(grads.dgate_up.slice_cols(0, inner)), fresh(grads.dgate_up.slice_cols(inner, inner))},
      grads.dweights, grads.z, dz, gate_up.slice_cols(0, inner), gate_up.slice_cols(inner, inner),
      rows);
}

void gated_forward(Context& ctx, Tensor y, Tensor both, Tensor x, Tensor w) {
  check_forward(y, both, x, w);
  if (y.empty()) return;
  ArenaScope scope(ctx.scratch);
  if constexpr (kWithCuda)
    if (y.device == Device::cuda && cuda::grouped_gated_hopper(ctx, y, both, x, only(w), {}))
      return;
  const int64_t inner = y.cols();
  const Tensor products = room_for(ctx, both, y);
  linear_forward(ctx, products, x, w);
  swiglu_forward(ctx, y, products.slice_cols(0, inner), products.slice_cols(inner, inner));
}

void gated_backward(Context& ctx, const GatedGrads& grads, Tensor dy, Tensor gate_up, Tensor down) {
  check_backward(grads, dy, gate_up, down);
  const int64_t inner = grads.z.cols();
  ArenaScope scope(ctx.scratch);
  if constexpr (kWithCuda)
    if (gate_up.device == Device::cuda &&
        cuda::grouped_gated_backward_hopper(ctx, grads, dy, {gate_up, only(down), {}, {}}))
      return;
  const Tensor dz = ctx.scratch.tensor("gated.dz", gate_up.dtype, {dy.rows(), inner});  // [R, I]
  linear_backward(ctx, {.dx = fresh(dz)}, dy, grads.z, down);
  swiglu_backward(
      ctx,
      {fresh(grads.dgate_up.slice_cols(0, inner)), fresh(grads.dgate_up.slice_cols(inner, inner))},
      grads.z, dz, gate_up.slice_cols(0, inner), gate_up.slice_cols(inner, inner));
}

}  // namespace temper
