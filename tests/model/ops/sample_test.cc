#include "model/ops/sample.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "core/random.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

std::vector<double> random_logits(int64_t size, uint64_t seed, double scale) {
  Random random(seed, RandomStream::data);
  std::vector<double> logits(static_cast<size_t>(size));
  for (double& x : logits) x = scale * random.normal();
  return logits;
}

struct Draw {
  int32_t token;
  double logprob, sampled_logprob, entropy;
  std::vector<int32_t> kept;
};

// Draws from the rows of f64 logits; one rule and number a draw.
std::vector<Draw> draw_all(Context& ctx, Tensor logits, std::vector<int32_t> rows,
                           std::vector<double> uniforms, const std::vector<SamplingParams>& params,
                           bool entropy = false) {
  const auto count = static_cast<int64_t>(rows.size());
  std::vector<double> rules, numbers(rows.size() * kNumberColumns, std::nan(""));
  for (const SamplingParams& p : params)
    rules.insert(rules.end(), {p.temperature, static_cast<double>(p.top_k), p.top_p, p.min_p});
  std::vector<int32_t> tokens(rows.size(), -7);
  const auto words = static_cast<size_t>(kept_words(logits.cols()));
  std::vector<int32_t> kept(rows.size() * words, -1);
  const SampleOutputs out{
      make_tensor(tokens.data(), DType::i32, {count}),
      make_tensor(numbers.data(), DType::f64, {count, kNumberColumns}),
      make_tensor(kept.data(), DType::i32, {count, static_cast<int64_t>(words)})};
  sample(ctx, out, logits,
         {make_tensor(rows.data(), DType::i32, {count}),
          make_tensor(uniforms.data(), DType::f64, {count}),
          make_tensor(rules.data(), DType::f64, {count, kRuleColumns}), entropy});
  std::vector<Draw> draws;
  for (size_t i = 0; i < rows.size(); ++i) {
    draws.push_back({tokens[i], numbers[3 * i], numbers[3 * i + 1], numbers[3 * i + 2], {}});
    append_kept(std::span(kept).subspan(i * words, words), draws.back().kept);
  }
  return draws;
}

Draw draw_one(std::vector<double>& logits, const SamplingParams& params, double uniform,
              bool entropy = false) {
  static Context ctx(2);
  const auto size = static_cast<int64_t>(logits.size());
  return draw_all(ctx, make_tensor(logits.data(), DType::f64, {1, size}), {0}, {uniform}, {params},
                  entropy)[0];
}

// The filtered distribution the slow way: sort everything, then cut in the documented order.
std::vector<double> reference_probabilities(const std::vector<double>& logits,
                                            const SamplingParams& params) {
  const size_t size = logits.size();
  std::vector<double> p(size);
  const double max = *std::max_element(logits.begin(), logits.end());
  for (size_t v = 0; v < size; ++v) p[v] = std::exp((logits[v] - max) / params.temperature);
  std::vector<size_t> order(size);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
  size_t keep = params.top_k > 0 ? std::min(size, static_cast<size_t>(params.top_k)) : size;
  double mass = 0.0, reached = 0.0;
  for (size_t i = 0; i < keep; ++i) mass += p[order[i]];
  if (params.top_p < 1.0) {
    size_t n = 0;
    while (n < keep && reached < params.top_p * mass) reached += p[order[n++]];
    keep = n;
  }
  while (keep > 1 && p[order[keep - 1]] < params.min_p * p[order[0]]) --keep;
  double sum = 0.0;
  for (size_t i = 0; i < keep; ++i) sum += p[order[i]];
  std::vector<double> q(size, 0.0);
  for (size_t i = 0; i < keep; ++i) q[order[i]] = p[order[i]] / sum;
  return q;
}

}  // namespace

TEST_CASE("greedy takes the first index of the largest logit") {
  std::vector<double> logits{1.0, 3.0, -2.0, 3.0};
  const Draw draw = draw_one(logits, {.temperature = 0.0}, 0.99);
  CHECK(draw.token == 1);
  const double lse = std::log(std::exp(1.0) + 2 * std::exp(3.0) + std::exp(-2.0));
  CHECK(draw.logprob == Approx(3.0 - lse).epsilon(1e-14));
  CHECK(draw.sampled_logprob == 0.0);
}

TEST_CASE("a number draws the token in whose stretch of the distribution it lies") {
  const std::vector<SamplingParams> cases = {
      {.temperature = 1.0},
      {.temperature = 0.5},
      {.temperature = 1.7, .top_k = 40},
      {.top_p = 0.9},
      {.temperature = 0.8, .top_p = 0.3},
      {.min_p = 0.1},
      {.temperature = 1.3, .top_k = 100, .top_p = 0.8, .min_p = 0.02},
      {.top_k = 1},
      {.top_p = 1e-9},
  };
  for (size_t c = 0; c < cases.size(); ++c) {
    std::vector<double> logits = random_logits(1000, c + 1, 2.0);
    for (size_t v = 0; v < 1000; v += 7) logits[v] = std::round(logits[v]);  // ties
    const std::vector<double> q = reference_probabilities(logits, cases[c]);
    double before = 0.0;
    for (size_t v = 0; v < q.size(); ++v) {
      if (q[v] > 1e-9) {
        const Draw draw = draw_one(logits, cases[c], before + 0.5 * q[v]);
        INFO("case " << c << " token " << v);
        CHECK(draw.token == static_cast<int32_t>(v));
        CHECK(draw.sampled_logprob == Approx(std::log(q[v])).epsilon(1e-9).margin(1e-12));
      }
      before += q[v];
    }
  }
}

TEST_CASE("log-probability and entropy are those of the full distribution at the temperature") {
  std::vector<double> logits = random_logits(777, 3, 3.0);
  const SamplingParams params{.temperature = 0.7, .top_p = 0.6};
  const Draw draw = draw_one(logits, params, 0.4, true);
  double sum = 0.0, entropy = 0.0;
  for (const double x : logits) sum += std::exp(x / 0.7);
  for (const double x : logits) {
    const double logprob = x / 0.7 - std::log(sum);
    entropy -= std::exp(logprob) * logprob;
  }
  const double chosen = logits[static_cast<size_t>(draw.token)];
  CHECK(draw.logprob == Approx(chosen / 0.7 - std::log(sum)).epsilon(1e-12));
  CHECK(draw.sampled_logprob > draw.logprob);
  CHECK(draw.entropy == Approx(entropy).epsilon(1e-12));
}

TEST_CASE("the largest and the smallest number draw tokens that have weight") {
  std::vector<double> logits = random_logits(600, 5, 1.0);
  const double nothing = -std::numeric_limits<double>::infinity();
  for (size_t v = 0; v < 300; ++v) logits[v] = logits[599 - v] = nothing;
  logits[310] = 1.0;
  CHECK(draw_one(logits, {}, 0.0).token == 310);
  CHECK(draw_one(logits, {}, 1.0 - 0x1.0p-53).token == 310);
  CHECK(draw_one(logits, {.top_p = 0.5}, 1.0 - 0x1.0p-53).token == 310);
  CHECK(draw_one(logits, {}, 0.5, true).entropy == 0.0);
}

TEST_CASE("a row's draws do not depend on the rows and threads beside it") {
  const int64_t rows = 9, size = 500;
  std::vector<double> logits = random_logits(rows * size, 11, 2.0);
  const Tensor all = make_tensor(logits.data(), DType::f64, {rows, size});
  const SamplingParams plain{}, filtered{.temperature = 0.9, .top_p = 0.8};
  std::vector<int32_t> row;
  std::vector<double> uniform;
  std::vector<SamplingParams> params;
  Random random(4, RandomStream::data);
  for (int32_t r = 0; r < rows; ++r) {
    for (int s = 0; s < 3; ++s) {
      row.push_back(r);
      uniform.push_back(random.uniform());
      params.push_back(r % 2 == 0 ? plain : filtered);
    }
  }
  Context one(1), three(3);
  const std::vector<Draw> together = draw_all(one, all, row, uniform, params);
  const std::vector<Draw> threaded = draw_all(three, all, row, uniform, params);
  for (size_t i = 0; i < row.size(); ++i) {
    const Draw alone = draw_all(one, all, {row[i]}, {uniform[i]}, {params[i]})[0];
    CHECK(alone.token == together[i].token);
    CHECK(alone.logprob == together[i].logprob);
    CHECK(threaded[i].token == together[i].token);
    CHECK(threaded[i].sampled_logprob == together[i].sampled_logprob);
  }
}

TEST_CASE("the kept ids are those that have a share of the filtered distribution") {
  std::vector<double> logits = random_logits(300, 8, 2.0);
  const SamplingParams params{.temperature = 0.8, .top_k = 50, .top_p = 0.7, .min_p = 0.01};
  const std::vector<double> q = reference_probabilities(logits, params);
  std::vector<int32_t> want;
  for (size_t v = 0; v < q.size(); ++v)
    if (q[v] > 0.0) want.push_back(static_cast<int32_t>(v));
  CHECK(draw_one(logits, params, 0.3).kept == want);
  CHECK(draw_one(logits, {}, 0.3).kept.empty());
}

TEST_CASE("draws are distributed as the softmax says") {
  std::vector<double> logits{0.0, 1.0, -1.0, 0.5};
  std::vector<int> count(4, 0);
  const int draws = 20000;
  Random random(42, RandomStream::data);
  for (int i = 0; i < draws; ++i)
    ++count[static_cast<size_t>(draw_one(logits, {}, random.uniform()).token)];
  const std::vector<double> p = reference_probabilities(logits, {});
  for (size_t v = 0; v < 4; ++v) {
    const double sigma = std::sqrt(p[v] * (1 - p[v]) * draws);
    CHECK(std::abs(count[v] - p[v] * draws) < 4.5 * sigma);
  }
}

TEST_CASE("rows that are not finite draw no token") {
  std::vector<double> broken{0.0, std::nan(""), 1.0}, infinite{0.0, INFINITY, 1.0};
  CHECK(draw_one(broken, {}, 0.5).token == -1);
  CHECK(draw_one(infinite, {.top_p = 0.5}, 0.5).token == -1);
  CHECK(draw_one(broken, {.temperature = 0.0}, 0.5).token == -1);
}

TEST_CASE("ids below 0 follow the tokens drawn") {
  Context ctx(1);
  std::vector<int32_t> ids{4, -1, -3, 0, -2}, tokens{7, -1, 9};
  follow_draws(ctx, make_tensor(ids.data(), DType::i32, {5}),
               make_tensor(tokens.data(), DType::i32, {3}));
  CHECK(ids == std::vector<int32_t>{4, 7, 9, 0, 0});
}
