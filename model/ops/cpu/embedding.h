// Token embedding on the CPU. Contracts: model/ops/embedding.h, which has checked the arguments.
#pragma once

#include "model/ops/embedding.h"

namespace temper::cpu {

void embedding_forward(Context& ctx, Tensor y, Tensor table, Tensor ids);
void scatter_rows_add(Context& ctx, Tensor y, Tensor x, Tensor index);
void embedding_backward(Context& ctx, Tensor dtable, Tensor dy, Tensor ids);

}  // namespace temper::cpu
