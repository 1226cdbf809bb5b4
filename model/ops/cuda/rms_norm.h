// Root-mean-square normalisation on the GPU. Contracts: model/ops/rms_norm.h, which has checked the
// arguments.
#pragma once

#include "model/ops/rms_norm.h"

namespace temper::cuda {

void rms_norm_forward(Context& ctx, Tensor y, const RmsNormSaved& saved, Tensor x, Tensor w,
                      double eps);
void rms_norm_backward(Context& ctx, const RmsNormGrads& grads, Tensor dy, Tensor x, Tensor w,
                       Tensor rstd, const ChosenRows& more);
// Whether it can add these rows on its way.
bool rms_norm_adds(const Tensor& x, const ChosenRows& more);

}  // namespace temper::cuda
