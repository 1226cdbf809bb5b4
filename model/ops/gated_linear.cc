#include "model/ops/gated_linear.h"

#include "core/device.h"
#include "model/ops/check.h"
#include "model/ops/cuda/grouped_few_hopper.h"
#include "model/ops/linear.h"
#include "model/ops/swiglu.h"

namespace temper {

void grouped_gated_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor offsets) {
  check_alike({y, x, w});
  const int64_t inner = y.cols();
  require(w.rank == 3 && w.dim(1) == 2 * inner, "grouped_gated: w is not [E, 2I, K]");
  check_rows_cols(y, x.rows(), inner, "grouped_gated: y");
  if (y.empty()) return;
  if constexpr (kWithCuda) {
    if (y.device == Device::cuda && cuda::gated_few_hopper(ctx, y, x, w, offsets)) return;
  }
  ArenaScope scope(ctx.scratch);
  const Tensor both = ctx.scratch.tensor("gated.both", y.dtype, {x.rows(), 2 * inner});  // [R, 2I]
  grouped_linear_forward(ctx, both, x, w, offsets);
  swiglu_forward(ctx, y, both.slice_cols(0, inner), both.slice_cols(inner, inner));
}

}  // namespace temper
