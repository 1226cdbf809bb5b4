#include "model/ops/swiglu.h"

#include "model/ops/check.h"
#include "model/ops/cpu/swiglu.h"
#include "model/ops/cuda/swiglu.h"

namespace temper {
namespace {

void check_backward(const SwigluGrads& grads, const Tensor& y, const Tensor& dy, const Tensor& gate,
                    const Tensor& up) {
  check_alike({dy, grads.dgate, grads.dup, y, gate, up});
  for (const Tensor& t : std::initializer_list<Tensor>{grads.dgate, grads.dup, gate, up})
    check_rows_cols(t, dy.rows(), dy.cols(), "swiglu: a tensor of backward");
  if (y.data != nullptr) check_rows_cols(y, dy.rows(), dy.cols(), "swiglu: y");
}

SwigluGrads to_add(Context& ctx, const SwigluGrads& grads) {
  return {temper::to_add(ctx, grads.dgate), temper::to_add(ctx, grads.dup)};
}

}  // namespace

void swiglu_forward(Context& ctx, Tensor y, Tensor gate, Tensor up) {
  check_alike({y, gate, up});
  check_rows_cols(gate, y.rows(), y.cols(), "swiglu: gate");
  check_rows_cols(up, y.rows(), y.cols(), "swiglu: up");
  switch (y.device) {
    case Device::cpu:
      return cpu::swiglu_forward(ctx, y, gate, up);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::swiglu_forward(ctx, y, gate, up);
      no_backend();
  }
}

void swiglu_backward(Context& ctx, const SwigluGrads& grads, Tensor y, Tensor dy, Tensor gate,
                     Tensor up) {
  check_backward(grads, y, dy, gate, up);
  switch (dy.device) {
    case Device::cpu:
      return cpu::swiglu_backward(ctx, to_add(ctx, grads), y, dy, gate, up);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::swiglu_backward(ctx, grads, y, dy, gate, up);
      no_backend();
  }
}

void weighted_swiglu_backward(Context& ctx, const SwigluGrads& grads, const Grad& dweights,
                              Tensor z, Tensor dz, Tensor gate, Tensor up, const RowWeights& rows) {
  check_backward(grads, z, dz, gate, up);
  check_alike({dz, rows.weights, dweights});
  check_i32(rows.row_of, "swiglu: row_of");
  require(rows.row_of.rank == 2 && rows.row_of.numel() == dz.rows(),
          "swiglu: row_of is not [T, K]");
  check_shape(rows.weights, {rows.row_of.dim(0), rows.row_of.dim(1)}, "swiglu: weights");
  check_shape(dweights, {rows.row_of.dim(0), rows.row_of.dim(1)}, "swiglu: dweights");
  check_rows_cols(z, dz.rows(), dz.cols(), "swiglu: z");
  switch (dz.device) {
    case Device::cpu:
      return cpu::weighted_swiglu_backward(ctx, to_add(ctx, grads), temper::to_add(ctx, dweights),
                                           z, dz, gate, up, rows);
    case Device::cuda:
      if constexpr (kWithCuda)
        return cuda::weighted_swiglu_backward(ctx, grads, dweights, z, dz, gate, up, rows);
      no_backend();
  }
}

}  // namespace temper
