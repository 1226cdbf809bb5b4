// Root-mean-square normalisation.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"

namespace temper {

// y = x * rstd * w,  rstd = (mean(x^2) + eps)^-1/2 over the last dimension.
// Source: Zhang & Sennrich 2019, eq. 4.
// Shapes: x, y [.., n]; w [n]; rstd [rows of x] or empty (not saved).
// Types: f32 or f64; the mean is accumulated in f64. Aliasing: y may be x only if rstd is empty.
void rms_norm_forward(Context& ctx, Tensor y, Tensor rstd, Tensor x, Tensor w, double eps);

// With g = dy * w:  dx += rstd * (g - x * rstd^2 * mean(g * x));  dw += sum over rows dy * x *
// rstd. Shapes: dx, dy, x [.., n]; dw, w [n]; rstd [rows]. Adds into: dx, dw (an empty one is
// skipped).
struct RmsNormGrads {
  Grad dx = {}, dw = {};
};
void rms_norm_backward(Context& ctx, const RmsNormGrads& grads, Tensor dy, Tensor x, Tensor w,
                       Tensor rstd);

}  // namespace temper
