// AdamW over all weights of a model, with global-norm clipping.
#pragma once

#include "core/context.h"
#include "model/ops/adamw.h"
#include "model/ops/gradient_squares.h"
#include "model/weights.h"

namespace temper {

struct OptimizerOptions {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weight_decay = 0.0;   // decoupled, on every parameter
  double max_grad_norm = 1.0;  // 0: no clipping
  bool bf16_moments = false;   // half the memory; V3 trained so
};

// All lie as the weights' flat storage does. Weights that are kept in 16 bits are the high halves
// of the f32 numbers that the updates go to (model/ops/halves.h).
struct OptimizerState {
  OwnedTensor low;         // [parameters, 2] bytes; empty if the weights are f32 or f64 themselves
  OwnedTensor m, v;        // [parameters] in the dtype of the gradients, or bf16
  OwnedTensor loss_scale;  // of f16 weights, on the host (model/optim/loss_scale.h); else empty
  OwnedTensor squares;     // [1] f64: of the last update's changes
  int64_t step = 0;        // updates done
};

// Zero moments for every weight, and zero low halves where they are needed.
OptimizerState make_optimizer_state(Context& ctx, const OwnedWeights& weights,
                                    const OptimizerOptions& options);

// Square root of the sum of squares of all gradients, of which `squares` knows some. Units: of the
// loss a parameter.
double global_grad_norm(Context& ctx, const OwnedWeights& grads, const GradientSquares& squares);

// Norm of w_t - w_t-1 of the last update, 0 where it was skipped. Waits for the update.
double update_norm(Context& ctx, const OptimizerState& state);

// One AdamW update of `weights`; gradients are divided by the loss's factor, which grad_norm no
// longer has, and scaled by min(1, max_grad_norm / norm) on the way.
void optimizer_step(Context& ctx, OwnedWeights& weights, OptimizerState& state,
                    const OwnedWeights& grads, double grad_norm, double lr,
                    const OptimizerOptions& options);

// b_i += speed * sign(mean(load) - load_i) for every MoE layer, main layers first, then MTP.
// Source: DeepSeek-V3 section 2.1.2; v3-engine 1.4.
// Shapes: load [MoE layers, E] i32 counts the whole global batch.
void update_router_biases(Context& ctx, ModelWeights& weights, Tensor load, double speed);

}  // namespace temper
