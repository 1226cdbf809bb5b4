// Copies of whole blocks of the paged cache.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// pool[l, to_p] = pool[l, from_p] for each layer l and pair p. No block is both copied from and
// copied to.
// Shapes: pool [L, B, n], contiguous; pairs [P, 2] i32: from, to. Types: pool of any.
void copy_blocks(Context& ctx, Tensor pool, Tensor pairs);

}  // namespace temper
