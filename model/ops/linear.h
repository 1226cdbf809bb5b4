// Matrix products: linear layers, grouped linear layers (experts) and per-head products.
#pragma once

#include "core/context.h"
#include "core/tensor.h"
#include "model/ops/grad.h"
#include "model/ops/picked_rows.h"

namespace temper {

// y = x w^T + bias.
// Shapes: y [T, N], x [T, K], w [N, K], bias [N] or empty.
// Types: f32 or f64; on the GPU f32, bf16 or f16; all alike. Aliasing: y overlaps nothing.
// A row of y depends on its row of x and on w alone, never on T or on the row's place (bit for
// bit).
void linear_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor bias = {});
// y += x w^T + bias.  Shapes: as above. Types: y may be of the wider dtype of x and w, as the
// residual stream is.
void linear_add_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor bias = {});

// dx += dy w;  dw += dy^T x;  dbias += sum over rows of dy. An empty output is skipped.
// Shapes: dx [T, K], dw [N, K], dbias [N], dy [T, N]. Adds into: dx, dw, dbias.
struct LinearGrads {
  Grad dx = {}, dw = {}, dbias = {};
};
void linear_backward(Context& ctx, const LinearGrads& grads, Tensor dy, Tensor x, Tensor w);

// Rows [offsets[e], offsets[e+1]) go through expert e: y = x w_e^T.
// Shapes: y [R, N], x [R, K], w [E, N, K], offsets [E+1] i32 ascending, offsets[E] = R.
// Picked rows give the bits of the same rows laid out.
void grouped_linear_forward(Context& ctx, Tensor y, const PickedRows& x, Tensor w, Tensor offsets);

// dx += dy w_e;  dw_e += dy^T x over the expert's rows. Adds into: dx [R, K], dw [E, N, K].
void grouped_linear_backward(Context& ctx, const LinearGrads& grads, const PickedRows& dy,
                             const PickedRows& x, Tensor w, Tensor offsets);

// Per head h: y[:, h, :] = x[:, h, :] w_h^T, w_h = row h of `w` as a contiguous [N, K] matrix.
// Shapes: y [T, H, N], x [T, H, K] (both may be column slices), w [H, N*K] (rows may be strided).
void head_linear_forward(Context& ctx, Tensor y, Tensor x, Tensor w);

// Per head h: y[:, h, :] = x[:, h, :] w_h, w_h = row h of `w` as a contiguous [N, K] matrix.
// Shapes: y [T, H, K], x [T, H, N], w [H, N*K].
void head_linear_transposed_forward(Context& ctx, Tensor y, Tensor x, Tensor w);

}  // namespace temper
