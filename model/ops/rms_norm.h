// Root-mean-square normalisation.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"

namespace temper {

// y = x * rstd * w,  rstd = (mean(x^2) + eps)^-1/2 over the last dimension.
// Source: Zhang & Sennrich 2019, eq. 4.
// Shapes: x, y [.., n]; w [n]; saved.rstd [rows of x]; saved.x [.., n].
// Types: x may be of the wider dtype of y and w (core/device.h: stat_dtype), as the residual stream
// is; saved.x is then x rounded to theirs. The CPU sums in f64.
// Aliasing: y may be x only if nothing is saved.
struct RmsNormSaved {  // what backward needs; an empty one is not wanted
  Tensor rstd = {}, x = {};
};
void rms_norm_forward(Context& ctx, Tensor y, const RmsNormSaved& saved, Tensor x, Tensor w,
                      double eps);

// With g = dy * w:  dx += rstd * (g - x * rstd^2 * mean(g * x));  dw += sum over rows dy * x *
// rstd. Shapes: dx, dy, x [.., n]; dw, w [n]; rstd [rows]. Adds into: dx, dw (an empty one is
// skipped).
struct RmsNormGrads {
  Grad dx = {}, dw = {};
};
// Rows that count in dy too: those of row_of[t, k] for each k in row t (permute.h: ExpertPlan).
// Shapes: rows [R, n], row_of [T, K] i32.
struct ChosenRows {
  Tensor rows = {}, row_of = {};
};
void rms_norm_backward(Context& ctx, const RmsNormGrads& grads, Tensor dy, Tensor x, Tensor w,
                       Tensor rstd, const ChosenRows& more = {});

}  // namespace temper
