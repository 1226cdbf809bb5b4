// Token embedding.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// y_t = table[ids_t].  Shapes: y [T, d], table [V, d], ids [T] i32 in [0, V).
// Types: y may be of the wider dtype of table.
// Throws: ContractError on an id outside the table.
void embedding_forward(Context& ctx, Tensor y, Tensor table, Tensor ids);

// y[index_r] += x_r.  Shapes: y [T, d], x [R, d], index [R] i32 without duplicates.
// Types: f32 or f64; on the GPU f32, bf16 or f16. Adds into: y.
void scatter_rows_add(Context& ctx, Tensor y, Tensor x, Tensor index);

// dtable[ids_t] += dy_t, in order of t for each id. Adds into: dtable [V, d].
void embedding_backward(Context& ctx, Tensor dtable, Tensor dy, Tensor ids);

}  // namespace temper
