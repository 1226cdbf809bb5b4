// AdamW on the GPU. Contracts: model/ops/adamw.h, which has checked the arguments.
#pragma once

#include "model/ops/adamw.h"

namespace temper::cuda {

void adamw_step(Context& ctx, const AdamWTensors& tensors, const AdamWParams& params);

}  // namespace temper::cuda
