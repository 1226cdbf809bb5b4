#include "reward/preference/accuracy.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "reward/preference/loss.h"

namespace temper {
namespace {

// 1 if the first is larger, a half at a tie.
double order_of(double first, double second) {
  return first > second ? 1.0 : first == second ? 0.5 : 0.0;
}

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  double mx = 0.0, my = 0.0, xx = 0.0, yy = 0.0, xy = 0.0;
  for (size_t i = 0; i < x.size(); ++i) mx += x[i] / n, my += y[i] / n;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mx) * (x[i] - mx), yy += (y[i] - my) * (y[i] - my);
    xy += (x[i] - mx) * (y[i] - my);
  }
  return xx > 0.0 && yy > 0.0 ? xy / std::sqrt(xx * yy) : 0.0;
}

// The share of (good, bad) answers that the scores put in order; the good ones' ranks say it.
double separation(const std::vector<double>& scores, const std::vector<bool>& good) {
  std::vector<double> bad;
  for (size_t i = 0; i < scores.size(); ++i)
    if (!good[i]) bad.push_back(scores[i]);
  std::sort(bad.begin(), bad.end());
  double sum = 0.0;
  const size_t goods = scores.size() - bad.size();
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!good[i]) continue;
    const auto [low, high] = std::equal_range(bad.begin(), bad.end(), scores[i]);
    sum += static_cast<double>(low - bad.begin()) + 0.5 * static_cast<double>(high - low);
  }
  const double all = static_cast<double>(goods) * static_cast<double>(bad.size());
  return all > 0.0 ? sum / all : 0.0;
}

void add_pair(PreferenceAccuracy& r, const PreferenceExample& e, const std::vector<double>& s) {
  const double right = order_of(s[0], s[1]);
  const int64_t more = e.answer_tokens[0] - e.answer_tokens[1];
  ++r.pairs;
  r.accuracy += right;
  r.margin += s[0] - s[1];
  r.by_length += order_of(static_cast<double>(more), 0.0);
  if (more < 0) ++r.shorter_pairs, r.shorter_accuracy += right;
}

}  // namespace

double preference_loss(const PreferenceExample& example, std::span<const double> scores,
                       PreferenceLoss loss, std::span<double> gradient) {
  if (loss == PreferenceLoss::pairwise) {
    require(example.is_pair(), "pairs for the pairwise loss");
    const ScalarLoss l = pairwise_loss(scores[0] - scores[1]);
    gradient[0] = l.gradient, gradient[1] = -l.gradient;
    return l.loss;
  }
  double sum = 0.0;
  const double n = static_cast<double>(scores.size());
  for (size_t a = 0; a < scores.size(); ++a) {
    const ScalarLoss l = binary_loss(scores[a], example.good[a]);
    sum += l.loss / n, gradient[a] = l.gradient / n;
  }
  return sum;
}

PreferenceAccuracy preference_accuracy(std::span<const PreferenceExample> examples,
                                       const std::vector<std::vector<double>>& scores,
                                       PreferenceLoss loss) {
  PreferenceAccuracy r;
  std::vector<double> all, lengths;
  std::vector<bool> good;
  for (size_t e = 0; e < examples.size(); ++e) {
    std::vector<double> gradient(scores[e].size());
    r.loss += preference_loss(examples[e], scores[e], loss, gradient);
    for (size_t a = 0; a < scores[e].size(); ++a) {
      all.push_back(scores[e][a]), good.push_back(examples[e].good[a]);
      lengths.push_back(static_cast<double>(examples[e].answer_tokens[a]));
      r.labels += good.back() ? order_of(all.back(), 0.0) : order_of(0.0, all.back());
      r.mean_score += all.back();
    }
    if (examples[e].is_pair()) add_pair(r, examples[e], scores[e]);
  }
  const auto over = [](double sum, size_t n) { return n > 0 ? sum / static_cast<double>(n) : 0.0; };
  r.answers = static_cast<int64_t>(all.size());
  r.loss = over(r.loss, examples.size());
  r.labels = over(r.labels, all.size());
  r.mean_score = over(r.mean_score, all.size());
  r.separation = separation(all, good);
  r.length_correlation = correlation(all, lengths);
  const auto pairs = static_cast<size_t>(r.pairs);
  r.accuracy = over(r.accuracy, pairs);
  r.margin = over(r.margin, pairs);
  r.by_length = over(r.by_length, pairs);
  r.shorter_accuracy = over(r.shorter_accuracy, static_cast<size_t>(r.shorter_pairs));
  r.standard_error = std::sqrt(over(r.accuracy * (1.0 - r.accuracy), pairs));
  return r;
}

std::string PreferenceAccuracy::text() const {
  char line[320];
  std::string out;
  if (pairs > 0) {
    std::snprintf(line, sizeof line,
                  "%lld pairs: accuracy %.1f %% +- %.1f (by length alone %.1f %%; where the better "
                  "one is shorter %.1f %% of %lld), margin %.3f, ",
                  static_cast<long long>(pairs), 100.0 * accuracy, 100.0 * standard_error,
                  100.0 * by_length, 100.0 * shorter_accuracy,
                  static_cast<long long>(shorter_pairs), margin);
    out = line;
  }
  std::snprintf(line, sizeof line,
                "%lld answers: %.1f %% on the right side of 0, %.1f %% of good and bad in order, "
                "mean score %.3f, correlation with length %.2f, loss %.4f",
                static_cast<long long>(answers), 100.0 * labels, 100.0 * separation, mean_score,
                length_correlation, loss);
  return out + line;
}

}  // namespace temper
