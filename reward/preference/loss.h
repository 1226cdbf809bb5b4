// The losses of reward models.
#pragma once

namespace temper {

struct ScalarLoss {
  double loss = 0.0;      // nats
  double gradient = 0.0;  // of the loss by its argument
};

// -log sigmoid(margin), margin = score of the better answer - score of the worse one.
// Source: Bradley and Terry 1952; the helpfulness model of DeepSeek-R1.
ScalarLoss pairwise_loss(double margin);

// -log sigmoid(score) of a good answer, -log sigmoid(-score) of a bad one.
// Source: the point-wise safety model of DeepSeek-R1.
ScalarLoss binary_loss(double score, bool good);

// 1 / (1 + e^-x) without overflow.
double sigmoid(double x);

}  // namespace temper
