#include "model/ops/rms_norm.h"

#include "model/ops/check.h"
#include "model/ops/cpu/rms_norm.h"
#include "model/ops/cuda/rms_norm.h"
#include "model/ops/permute.h"

namespace temper {

void rms_norm_forward(Context& ctx, Tensor y, const RmsNormSaved& saved, Tensor x, Tensor w,
                      double eps) {
  check_alike({y, saved.rstd, saved.x, x, w});
  check_rows_cols(y, x.rows(), x.cols(), "rms_norm: y");
  check_rows_cols(w, 1, x.cols(), "rms_norm: w");
  if (saved.x.data) check_rows_cols(saved.x, x.rows(), x.cols(), "rms_norm: the saved x");
  if (saved.rstd.data)
    require(saved.rstd.numel() == x.rows() && saved.rstd.contiguous(), "rms_norm: rstd");
  require((saved.rstd.empty() && saved.x.empty()) || y.data != x.data,
          "rms_norm in place keeps nothing for backward");
  switch (y.device) {
    case Device::cpu:
      return cpu::rms_norm_forward(ctx, y, saved, x, w, eps);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::rms_norm_forward(ctx, y, saved, x, w, eps);
      no_backend();
  }
}

namespace {

// dy with the chosen rows, in scratch memory of the caller's scope.
Tensor with_chosen(Context& ctx, Tensor dy, const ChosenRows& more) {
  if (more.rows.empty()) return dy;
  const Tensor sum = ctx.scratch.tensor("rms_norm.dy", dy.dtype, {dy.rows(), dy.cols()});
  copy(ctx, sum, dy.reshape({dy.rows(), dy.cols()}));
  gather_rows_backward(ctx, sum, more.rows, more.row_of);
  return sum;
}

}  // namespace

void rms_norm_backward(Context& ctx, const RmsNormGrads& grads, Tensor dy, Tensor x, Tensor w,
                       Tensor rstd, const ChosenRows& more) {
  check_alike({dy, grads.dx, grads.dw, x, w, rstd, more.rows});
  if (more.rows.data) {
    check_i32(more.row_of, "rms_norm: row_of");
    require(more.row_of.rows() == x.rows() && more.rows.cols() == x.cols(),
            "rms_norm: the chosen rows");
  }
  const ArenaScope scope(ctx.scratch);
  check_rows_cols(dy, x.rows(), x.cols(), "rms_norm: dy");
  check_rows_cols(w, 1, x.cols(), "rms_norm: w");
  require(rstd.numel() == x.rows() && rstd.contiguous(), "rms_norm: rstd");
  if (grads.dx.data) check_rows_cols(grads.dx, x.rows(), x.cols(), "rms_norm: dx");
  if (grads.dw.data) check_rows_cols(grads.dw, 1, x.cols(), "rms_norm: dw");
  switch (dy.device) {
    case Device::cpu:
      return cpu::rms_norm_backward(ctx, {to_add(ctx, grads.dx), to_add(ctx, grads.dw)},
                                    with_chosen(ctx, dy, more), x, w, rstd);
    case Device::cuda:
      if constexpr (kWithCuda) {
        if (cuda::rms_norm_adds(x, more))
          return cuda::rms_norm_backward(ctx, grads, dy, x, w, rstd, more);
        return cuda::rms_norm_backward(ctx, grads, with_chosen(ctx, dy, more), x, w, rstd, {});
      }
      no_backend();
  }
}

}  // namespace temper
