// How well a reward model tells good answers from bad ones.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "reward/preference/examples.h"
#include "reward/preference/options.h"

namespace temper {

struct PreferenceAccuracy {
  int64_t pairs = 0, answers = 0;
  double loss = 0.0;                // mean, nats a row
  double accuracy = 0.0;            // share of pairs whose better answer scores higher; a tie: half
  double standard_error = 0.0;      // of it
  double by_length = 0.0;           // the same for "the longer answer is better"
  int64_t shorter_pairs = 0;        // pairs whose better answer is the shorter one
  double shorter_accuracy = 0.0;    // on those: what length cannot explain
  double margin = 0.0;              // mean score of the better minus the worse
  double labels = 0.0;              // share of answers on the right side of 0
  double separation = 0.0;          // share of (good, bad) answers in the right order, all with all
  double length_correlation = 0.0;  // of score and answer length
  double mean_score = 0.0;
  std::string text() const;
};

// `scores[e][a]` of each answer of each example.
PreferenceAccuracy preference_accuracy(std::span<const PreferenceExample> examples,
                                       const std::vector<std::vector<double>>& scores,
                                       PreferenceLoss loss);

// The loss of one row's scores and its derivative by them.
double preference_loss(const PreferenceExample& example, std::span<const double> scores,
                       PreferenceLoss loss, std::span<double> gradient);

}  // namespace temper
