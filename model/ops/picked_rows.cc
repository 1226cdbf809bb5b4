#include "model/ops/picked_rows.h"

#include "model/ops/permute.h"

namespace temper {

Tensor laid_out(Context& ctx, const PickedRows& rows) {
  if (!rows.picked()) return rows.from;
  const Tensor out = ctx.scratch.tensor("picked_rows", rows.from.dtype, {rows.rows(), rows.cols()});
  if (rows.places.data != nullptr) {
    spread_rows(ctx, out, rows.from, rows.places);
  } else {
    gather_rows_forward(ctx, out, rows.from, rows.index);
  }
  return out;
}

}  // namespace temper
