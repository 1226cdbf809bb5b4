// Bringing tokens to their experts and back.
#pragma once

#include <span>

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"
#include "model/ops/rms_norm.h"

namespace temper {

// Rows sorted by expert (stable in token order) for the T*K choices of `experts`.
// Shapes: experts [T, K] i32; row_of [T, K] i32: the sorted row of each choice; token_of [T*K] i32:
// the token of each sorted row; offsets [E+1] i32: the first row of each expert.
struct ExpertPlan {
  Tensor row_of, token_of, offsets;
};
void plan_experts(Context& ctx, const ExpertPlan& plan, Tensor experts);

// counts[l][e] += offsets_l[e+1] - offsets_l[e].  Shapes: counts [L, E] i32, offsets L times [E+1]
// i32.
void count_rows(Context& ctx, Tensor counts, std::span<const Tensor> offsets);

// y_r = x_{index_r}.  Shapes: y [R, d], x [T, d], index [R] i32.
void gather_rows_forward(Context& ctx, Tensor y, Tensor x, Tensor index);
// The same told from the other side: y_{row_of[t, k]} = x_t, each row of x read once.
// Shapes: y [T*K, d], x [T, d], row_of [T, K] i32.
void spread_rows(Context& ctx, Tensor y, Tensor x, Tensor row_of);
// dx_t += sum over the token's choices of dy_{row_of[t, k]}, in order of k. Adds into: dx [T, d].
void gather_rows_backward(Context& ctx, const Grad& dx, Tensor dy, Tensor row_of);

// y_t += plus_t + sum_k weights[t, k] * x_{row_of[t, k]}.  Shapes: y [T, d], x [R, d]; weights,
// row_of [T, K]; plus [T, d] or empty.
// Types: y and weights may be of the wider dtype of x and plus (core/device.h: stat_dtype).
struct Combined {
  Tensor x, weights, row_of, plus = {};
};
void combine_forward(Context& ctx, Tensor y, const Combined& rows);
// The same, then rms_norm_forward of y by norm.w, in one where that is faster.
struct NormAfter {
  Tensor w;       // [d]
  Tensor normed;  // [T, d]  written
  RmsNormSaved saved = {};
  double eps = 0.0;
};
void combine_norm_forward(Context& ctx, Tensor y, const Combined& rows, const NormAfter& norm);
// Its gradient is taken where the rows come from: weighted_swiglu_backward (model/ops/swiglu.h).

}  // namespace temper
