// Plain arithmetic on whole tensors.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// y = 0. Shapes: any, also strided. Types: of any.
void fill_zero(Context& ctx, Tensor y);
// y = x, converted. Shapes: the same rows and columns.
// Types: f32, f64, and bf16 or f16 to either; i32 to i32.
void copy(Context& ctx, Tensor y, Tensor x);
// y += x. Shapes: the same rows and columns; both may be column slices.
void add(Context& ctx, Tensor y, Tensor x);
// out = a + b.
void add(Context& ctx, Tensor out, Tensor a, Tensor b);
// y *= factor.
void scale(Context& ctx, Tensor y, double factor);
// Sum of squares in f64, in an order that does not depend on the number of threads.
double sum_of_squares(Context& ctx, Tensor x);

}  // namespace temper
