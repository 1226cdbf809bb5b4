// One step of AdamW over a flat range.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// m = beta1 m + (1-beta1) g;  v = beta2 v + (1-beta2) g^2;
// w -= lr * (m/bias1 / (sqrt(v/bias2) + eps) + weight_decay * w), bias_i = 1 - beta_i^step,
// with g = grad * grad_scale.  Source: Loshchilov & Hutter 2019, algorithm 2.
// Shapes: all [n]. Types: weights, grad f32 or f64; m, v the same or bf16 (rounded to nearest
// even). On the GPU the weights may be the upper halves of f32 numbers (model/ops/halves.h).
struct AdamWTensors {
  Tensor weights, m, v, grad;
  Tensor low = {};      // [n, 2] bytes: the other halves of 16-bit weights
  Tensor squares = {};  // [1] f64, may be left out: becomes the sum of (w_new - w_old)^2
};
struct AdamWParams {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.0;
  double grad_scale = 1.0;
  int64_t step = 1;  // from 1
};
void adamw_step(Context& ctx, const AdamWTensors& tensors, const AdamWParams& params);

}  // namespace temper
