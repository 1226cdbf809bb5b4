#include "model/weights.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <vector>

#include "model/checkpoint/transfer.h"
#include "model/layers/stacked.h"
#include "tests/support/catch.h"

namespace temper {
namespace {

TEST_CASE("weights: DeepSeek-V3 has 671 B parameters, 37.55 B of them active") {
  const ParameterCount count = count_parameters(preset_config("deepseek-v3"));
  CHECK(static_cast<double>(count.total - count.mtp) == Approx(671.03e9).epsilon(1e-5));
  CHECK(static_cast<double>(count.active) == Approx(37.55e9).epsilon(1e-4));
  CHECK(static_cast<double>(count.mtp) == Approx(11.61e9).epsilon(1e-3));
}

TEST_CASE("weights: the benchmark model has the size that its peers were measured with") {
  const ModelConfig config = preset_config("v3-1b");
  const ParameterCount count = count_parameters(config);
  const int64_t embedding = config.vocab_size * config.hidden_size;  // a look-up, not counted there
  CHECK(static_cast<double>(count.total) == Approx(927e6).epsilon(1e-3));
  CHECK(static_cast<double>(count.active - embedding) == Approx(232e6).epsilon(5e-3));
}

TEST_CASE("weights: a copy has the same numbers and its own memory, heads that are tied included") {
  for (const bool tied : {false, true}) {
    ModelConfig config = preset_config("tiny");
    config.tie_word_embeddings = tied;
    OwnedWeights weights = allocate_weights(config, DType::f32);
    initialize_weights(weights.view, config, 1);
    Context ctx(1);
    OwnedWeights copy = copy_weights(ctx, weights, config);
    const auto from = tensors_of(weights.view, config), to = tensors_of(copy.view, config);
    for (size_t i = 0; i < from.size(); ++i) {
      INFO(from[i].name);
      const Tensor &a = *from[i].tensor, &b = *to[i].tensor;
      REQUIRE(same_shape(a, b));
      CHECK(a.data != b.data);
      CHECK(std::equal(a.get<float>(), a.get<float>() + a.numel(), b.get<float>()));
    }
    CHECK((copy.view.lm_head.data == copy.view.embed_tokens.data) == tied);
  }
}

TEST_CASE("weights: every tensor has its own aligned part of one storage") {
  const ModelConfig config = preset_config("tiny");
  for (const DType dtype : {DType::f32, DType::f64}) {
    OwnedWeights owned = allocate_weights(config, dtype);
    std::set<std::string> names;
    std::vector<Tensor> stored;
    for (const NamedTensor& named : tensors_of(owned.view, config)) {
      INFO(named.name);
      CHECK(names.insert(named.name).second);
      CHECK(reinterpret_cast<uintptr_t>(named.tensor->data) % 64 == 0);
      const bool bias = named.role == TensorRole::router_bias;
      CHECK(named.tensor->dtype == (bias ? DType::f32 : dtype));
      if (!bias) stored.push_back(*named.tensor);
    }
    std::sort(stored.begin(), stored.end(),
              [](const Tensor& a, const Tensor& b) { return std::less<>()(a.data, b.data); });
    const auto* end = static_cast<const char*>(owned.storage.view.data);
    int64_t parameters = 0;
    for (const Tensor& tensor : stored) {
      CHECK(static_cast<const char*>(tensor.data) == end);
      end += (static_cast<size_t>(tensor.numel()) + 63) / 64 * 64 * size_of(dtype);
      parameters += tensor.numel();
    }
    CHECK(parameters == count_parameters(config).total);
    CHECK(end == static_cast<const char*>(owned.storage.view.data) +
                     static_cast<size_t>(owned.storage.view.numel()) * size_of(dtype));
    // A gate and the shared experts' first projection are one matrix for backward.
    const MoeWeights& moe = owned.view.layers.back().moe;
    CHECK(stacked(moe.gate, moe.shared_experts.gate_up_proj).rows() ==
          config.n_routed_experts + 2 * config.shared_intermediate_size());
  }
}

TEST_CASE("weights: a tied head is the embedding's memory and is listed once") {
  ModelConfig config = preset_config("tiny");
  config.tie_word_embeddings = true;
  OwnedWeights owned = allocate_weights(config, DType::f32);
  CHECK(owned.view.lm_head.data == owned.view.embed_tokens.data);
  for (const NamedTensor& named : tensors_of(owned.view, config))
    CHECK(named.name != "lm_head.weight");
}

TEST_CASE("weights: initialisation is normal, by seed, and the same in f32 and f64") {
  const ModelConfig config = preset_config("tiny");
  OwnedWeights a = allocate_weights(config, DType::f32), b = allocate_weights(config, DType::f64);
  initialize_weights(a.view, config, 3);
  initialize_weights(b.view, config, 3);
  const Tensor &single = a.view.layers[1].moe.experts_gate_up_proj,
               &twice = b.view.layers[1].moe.experts_gate_up_proj;
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < single.numel(); ++i) {
    REQUIRE(single.get<float>()[i] == twice.get<double>()[i]);
    sum += twice.get<double>()[i];
    squares += twice.get<double>()[i] * twice.get<double>()[i];
  }
  const auto n = static_cast<double>(single.numel());
  CHECK(std::abs(sum / n) < 5 * config.initializer_range / std::sqrt(n));
  CHECK(std::sqrt(squares / n) == Approx(config.initializer_range).epsilon(0.02));
  CHECK(a.view.norm.get<float>()[5] == 1.0f);
  CHECK(a.view.layers[1].moe.e_score_correction_bias.get<float>()[0] == 0.0f);
  // No two tensors and no two rows share their numbers.
  const int64_t inner = config.moe_intermediate_size;  // gate_proj's rows, then up_proj's
  CHECK(single.row<float>(inner)[0] != single.row<float>(0)[0]);
  CHECK(single.row<float>(0)[0] != single.row<float>(1)[0]);
  initialize_weights(b.view, config, 4);
  CHECK(single.get<float>()[0] != twice.get<double>()[0]);
}

}  // namespace
}  // namespace temper
