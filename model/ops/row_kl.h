// Distances between two models' next-token distributions, with their gradients.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

enum class KlDirection {
  forward,  // KL(teacher || student): the student covers all that the teacher may say
  reverse,  // KL(student || teacher): the student keeps to what the teacher is likely to say
};

struct RowKlParams {
  KlDirection direction = KlDirection::forward;
  double temperature = 1.0;  // of both distributions
  double scale = 1.0;        // of the gradient
};

// With p = softmax(student / temperature) and q = softmax(teacher / temperature), row by row:
//   forward: sum_v q_v (log q_v - log p_v),  d/d student_v = (p_v - q_v) / temperature
//   reverse: sum_v p_v (log p_v - log q_v),  d/d student_v = p_v (log p_v - log q_v - KL) /
//                                                            temperature
// `kl` gets it, `student` becomes `scale` times the gradient. A logit of -inf is a token that its
// model never says.
// Source: Hinton et al. 2015 (forward); Gu et al. 2023, MiniLLM, and Agarwal et al. 2023, GKD
// (reverse). Shapes: kl [R]; student, teacher [R, V]. Types: logits f32 or f64, on the GPU f32; kl
// f64; sums in f64. Units: nats.
void row_kl(Context& ctx, Tensor kl, Tensor student, Tensor teacher, const RowKlParams& params);

}  // namespace temper
