// The golden models through the library: log-probabilities of given tokens and greedy generation.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/checkpoint/hf_folder.h"
#include "model/checkpoint/safetensors.h"
#include "rollout/engine.h"
#include "rollout/score.h"
#include "tests/support/catch.h"
#include "tests/support/shared.h"

using namespace temper;

namespace {

constexpr int32_t kEos = 2;  // of the golden models
const std::vector<std::string> kModels{"v3_lite", "v3_full", "v3_wide_v",
                                       "llama",   "qwen2",   "qwen3"};

// The rows of a [B, T] tensor of a file.
template <class T>
std::vector<std::vector<T>> rows_of(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor* tensor = file.find(name);
  REQUIRE(tensor != nullptr);
  REQUIRE(tensor->shape.size() == 2);
  const auto count = static_cast<size_t>(tensor->shape[0]);
  const auto length = static_cast<size_t>(tensor->shape[1]);
  REQUIRE(tensor->bytes == count * length * sizeof(T));
  std::vector<std::vector<T>> rows(count, std::vector<T>(length));
  for (size_t r = 0; r < count; ++r) {
    std::memcpy(rows[r].data(), tensor->data + r * length * sizeof(T), length * sizeof(T));
  }
  return rows;
}

std::vector<std::vector<int32_t>> ids_of(const SafetensorsFile& file, const std::string& name) {
  std::vector<std::vector<int32_t>> all;
  for (const auto& row : rows_of<int64_t>(file, name)) all.emplace_back(row.begin(), row.end());
  return all;
}

}  // namespace

TEST_CASE("golden: log-probabilities of the oracles' tokens") {
  if (!test::present(test::golden_dir())) return;
  Context ctx(2);
  for (const std::string& name : kModels) {
    const auto dir = test::golden_dir() / name;
    const LoadedModel model = load_model(ctx, dir, DType::f32);
    const SafetensorsFile expected(dir / "expected.safetensors");
    const auto tokens = ids_of(expected, "tokens");
    const auto nll = rows_of<float>(expected, "nll");
    const auto scores = score_sequences(ctx, model.weights.view, model.config, tokens);
    double worst = 0.0;
    for (size_t r = 0; r < tokens.size(); ++r) {
      for (size_t t = 0; t < nll[r].size(); ++t) {
        worst = std::max(worst, std::abs(scores[r][t + 1] + static_cast<double>(nll[r][t])));
      }
    }
    INFO(name << ": " << worst);
    CHECK(worst < 1e-4);
  }
}

TEST_CASE("golden: greedy continuations of the oracles") {
  if (!test::present(test::golden_dir())) return;
  Context ctx(2);
  for (const std::string& name : kModels) {
    const auto dir = test::golden_dir() / name;
    const LoadedModel model = load_model(ctx, dir, DType::f32);
    const SafetensorsFile expected(dir / "expected.safetensors");
    const auto tokens = ids_of(expected, "tokens");
    const auto greedy = ids_of(expected, "greedy");
    std::vector<RolloutRequest> requests;
    for (size_t r = 0; r < tokens.size(); ++r) {
      requests.push_back({.prompt = {tokens[r].begin(), tokens[r].begin() + 8},
                          .max_new_tokens = static_cast<int64_t>(greedy[r].size()),
                          .sampling = {.temperature = 0.0},
                          .stop_ids = {kEos}});
    }
    RolloutEngine engine(ctx, model.weights.view, model.config);
    const RolloutOutput output = engine.run(requests);
    for (size_t r = 0; r < requests.size(); ++r) {
      INFO(name << " row " << r);
      const auto end = std::find(greedy[r].begin(), greedy[r].end(), kEos);
      const std::vector<int32_t> want(greedy[r].begin(), end + (end != greedy[r].end()));
      CHECK(output.samples[r][0].ids == want);
    }
  }
}
