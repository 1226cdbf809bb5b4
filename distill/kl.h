// Distances between a student's and a teacher's next-token distributions, with their gradients.
#pragma once

#include <span>

namespace temper {

enum class KlDirection {
  forward,  // KL(teacher || student): the student covers all that the teacher may say
  reverse,  // KL(student || teacher): the student keeps to what the teacher is likely to say
};

// With p = softmax(student / temperature) and q = softmax(teacher / temperature):
//   forward: sum_v q_v (log q_v - log p_v),  d/d student_v = (p_v - q_v) / temperature
//   reverse: sum_v p_v (log p_v - log q_v),  d/d student_v = p_v (log p_v - log q_v - KL) /
//                                                            temperature
// Returns it in nats and overwrites `student` by `scale` times the gradient. One row each, of one
// length; a logit of -inf is a token that its model never says.
// Source: Hinton et al. 2015 (forward); Gu et al. 2023, MiniLLM, and Agarwal et al. 2023, GKD
// (reverse).
double kl_row(KlDirection direction, std::span<float> student, std::span<const float> teacher,
              double temperature, double scale);
double kl_row(KlDirection direction, std::span<double> student, std::span<const double> teacher,
              double temperature, double scale);

}  // namespace temper
