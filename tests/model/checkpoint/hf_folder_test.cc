#include "model/checkpoint/hf_folder.h"

#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/narrow_float.h"
#include "model/checkpoint/hf_names.h"
#include "model/checkpoint/safetensors.h"
#include "tests/support/catch.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/worse.h"

namespace temper {
namespace {

namespace fs = std::filesystem;

ModelConfig small_config() {
  ModelConfig config = preset_config("tiny");
  config.hidden_size = 136;  // ragged in blocks of 128
  config.num_hidden_layers = 2;
  config.n_routed_experts = 4;
  config.n_group = 2;
  config.topk_group = 1;
  config.num_experts_per_tok = 2;
  return config;
}

OwnedWeights random_weights(const ModelConfig& config, DType dtype) {
  OwnedWeights weights = allocate_weights(config, dtype);
  initialize_weights(weights.view, config, 11);
  for (const NamedTensor& named : tensors_of(weights.view, config))
    if (named.role == TensorRole::router_bias)
      for (int64_t i = 0; i < named.tensor->numel(); ++i)
        named.tensor->get<float>()[i] = 0.1f * static_cast<float>(i) + 1e-7f;
  return weights;
}

void check_same(OwnedWeights& a, OwnedWeights& b) {
  REQUIRE(a.storage.buffer.bytes() == b.storage.buffer.bytes());
  CHECK(std::memcmp(a.storage.buffer.data(), b.storage.buffer.data(), a.storage.buffer.bytes()) ==
        0);
  CHECK(std::memcmp(a.router_biases.buffer.data(), b.router_biases.buffer.data(),
                    a.router_biases.buffer.bytes()) == 0);
}

std::string error_of(const fs::path& dir) {
  Context ctx(1);
  try {
    load_model(ctx, dir, DType::f32);
  } catch (const UserError& error) {
    return error.what();
  }
  FAIL("the folder loaded");
  return "";
}

TEST_CASE("model folder: f32 and f64 round trips are bit exact, in one file and in many") {
  Context ctx(2);
  const ModelConfig config = small_config();
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t shard_bytes : {int64_t{1} << 40, int64_t{200000}}) {
      OwnedWeights weights = random_weights(config, dtype);
      TemporaryFolder dir;
      save_model(weights.view, config, dir / "model/",
                 {.stored_as = dtype == DType::f32 ? StoredAs::f32 : StoredAs::f64,
                  .max_shard_bytes = shard_bytes});
      CHECK(fs::exists(dir / "model/model.safetensors.index.json") == (shard_bytes == 200000));
      CHECK_FALSE(fs::exists(dir / "model.tmp"));
      LoadedModel loaded = load_model(ctx, dir / "model", dtype);
      CHECK(loaded.warnings.empty());
      CHECK(loaded.config.num_nextn_predict_layers == 1);
      check_same(weights, loaded.weights);
    }
  }
}

TEST_CASE("model folder: bf16 files hold every number rounded to nearest even") {
  Context ctx(1);
  const ModelConfig config = small_config();
  OwnedWeights weights = random_weights(config, DType::f32);
  TemporaryFolder dir;
  save_model(weights.view, config, dir / "m", {.stored_as = StoredAs::bf16});
  LoadedModel loaded = load_model(ctx, dir / "m", DType::f32);
  const auto a = published_tensors(weights.view, config);
  const auto b = published_tensors(loaded.weights.view, config);
  for (size_t t = 0; t < a.size(); ++t) {
    const bool is_exact = a[t].role == TensorRole::router_bias;
    for (int64_t i = 0; i < a[t].part.numel(); ++i) {
      const float value = a[t].part.get<float>()[i];
      REQUIRE(b[t].part.get<float>()[i] == (is_exact ? value : from_bf16(to_bf16(value))));
    }
  }
}

TEST_CASE("model folder: V3's FP8 form has its names and types and loads within its precision") {
  Context ctx(1);
  const ModelConfig config = small_config();
  OwnedWeights weights = random_weights(config, DType::f32);
  TemporaryFolder dir;
  save_model(weights.view, config, dir / "m", {.stored_as = StoredAs::fp8});
  const SafetensorsFile file(dir / "m/model.safetensors");
  CHECK(file.find("model.layers.1.mlp.experts.3.up_proj.weight")->dtype == "F8_E4M3");
  const StoredTensor* scale = file.find("model.layers.1.mlp.experts.3.up_proj.weight_scale_inv");
  REQUIRE(scale != nullptr);
  CHECK(scale->shape == std::vector<int64_t>{1, 2});
  CHECK(file.find("model.layers.1.mlp.gate.weight")->dtype == "BF16");
  CHECK(file.find("model.layers.2.eh_proj.weight")->dtype == "BF16");
  CHECK(file.find("model.embed_tokens.weight")->dtype == "BF16");
  CHECK(file.find("model.layers.1.mlp.gate.e_score_correction_bias")->dtype == "F32");
  LoadedModel loaded = load_model(ctx, dir / "m", DType::f32);
  const Tensor &a = weights.view.layers[1].moe.experts_gate_up_proj,
               &b = loaded.weights.view.layers[1].moe.experts_gate_up_proj;
  double worst = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    worst = test::worse(worst, std::abs(double{a.get<float>()[i]} - b.get<float>()[i]));
  CHECK(worst > 0);
  CHECK(worst < 0.01);  // 0.05 deviations of up to 4 sigma, with 3 bits of mantissa
}

TEST_CASE("model folder: rewriting a folder gives what loading and saving gives") {
  Context ctx(1);
  const ModelConfig config = small_config();
  OwnedWeights weights = random_weights(config, DType::f32);
  TemporaryFolder dir;
  save_model(weights.view, config, dir / "f32", {});
  for (const StoredAs stored_as : {StoredAs::bf16, StoredAs::fp8}) {
    save_model(weights.view, config, dir / "direct", {.stored_as = stored_as});
    rewrite_model(dir / "f32", dir / "rewritten", {.stored_as = stored_as}, nullptr);
    CHECK(read_file(dir / "direct/model.safetensors") ==
          read_file(dir / "rewritten/model.safetensors"));
    // And from there back, in place, in many files.
    rewrite_model(dir / "rewritten", dir / "rewritten", {.max_shard_bytes = 300000}, nullptr);
    LoadedModel a = load_model(ctx, dir / "direct", DType::f32);
    LoadedModel b = load_model(ctx, dir / "rewritten", DType::f32);
    check_same(a.weights, b.weights);
  }
}

TEST_CASE("model folder: everything that does not fit is named in one message") {
  const ModelConfig config = small_config();
  OwnedWeights weights = random_weights(config, DType::f32);
  TemporaryFolder dir;
  save_model(weights.view, config, dir / "m", {});
  // Rewrite the file: one tensor less, one more, one of another shape, one of another type, and
  // the last one cut.
  const std::string missing = "model.layers.1.mlp.experts.2.down_proj.weight";
  const std::string reshaped = "model.layers.0.self_attn.o_proj.weight";
  const std::string retyped = "model.layers.0.input_layernorm.weight";
  std::vector<SafetensorsEntry> entries;
  for (const PublishedTensor& tensor : published_tensors(weights.view, config)) {
    if (tensor.name == missing) continue;
    std::vector<int64_t> shape(tensor.part.shape.begin(),
                               tensor.part.shape.begin() + tensor.part.rank);
    if (tensor.name == reshaped) std::swap(shape[0], shape[1] = shape[1] + 1);
    entries.push_back({tensor.name, tensor.name == retyped ? DType::i32 : DType::f32, shape});
  }
  entries.push_back({"model.layers.0.mystery", DType::f32, {2}});
  entries.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", DType::f32, {2}});
  SafetensorsWriter writer(dir / "m/model.safetensors", entries);
  for (const SafetensorsEntry& entry : entries)
    writer.write(std::string(entry.bytes(), '\0').data(), entry.bytes());
  writer.finish();
  const std::string last = published_tensors(weights.view, config).back().name;
  const auto size = fs::file_size(dir / "m/model.safetensors");
  fs::resize_file(dir / "m/model.safetensors", size - 20);
  const std::string message = error_of(dir / "m");
  INFO(message);
  CHECK(message.find(missing + ": missing") != std::string::npos);
  CHECK(message.find(reshaped + ": wrong shape") != std::string::npos);
  CHECK(message.find(retyped + ": dtype I32") != std::string::npos);
  CHECK(message.find("model.layers.0.mystery: unexpected") != std::string::npos);
  CHECK(message.find(last + ": truncated") != std::string::npos);
  CHECK(message.find("inv_freq: unexpected") == std::string::npos);
  CHECK(message.find((dir / "m").string()) != std::string::npos);
}

TEST_CASE("model folder: a missing shard is named with its tensors") {
  const ModelConfig config = small_config();
  OwnedWeights weights = random_weights(config, DType::f32);
  TemporaryFolder dir;
  save_model(weights.view, config, dir / "m", {.max_shard_bytes = 400000});
  std::string shard;
  for (const auto& entry : fs::directory_iterator(dir / "m"))
    if (entry.path().filename().string().starts_with("model-00002")) shard = entry.path();
  REQUIRE_FALSE(shard.empty());
  std::vector<std::string> names;
  {
    const SafetensorsFile file(shard);
    for (const StoredTensor& tensor : file.tensors()) names.push_back(tensor.name);
  }
  fs::remove(shard);
  const std::string message = error_of(dir / "m");
  CHECK(message.find(fs::path(shard).filename().string() + " is missing") != std::string::npos);
  for (const std::string& name : names) CHECK(message.find(name) != std::string::npos);
}

TEST_CASE("model folder: MTP modules that are absent are left out with a warning") {
  Context ctx(1);
  ModelConfig config = small_config();
  config.num_nextn_predict_layers = 0;
  OwnedWeights weights = random_weights(config, DType::f32);
  TemporaryFolder dir;
  save_model(weights.view, config, dir / "m", {});
  config.num_nextn_predict_layers = 1;
  dir.write("m/config.json", model_config_json(config, "float32"));
  const LoadedModel loaded = load_model(ctx, dir / "m", DType::f32);
  CHECK(loaded.config.num_nextn_predict_layers == 0);
  REQUIRE(loaded.warnings.size() == 1);
  CHECK(loaded.warnings[0].find("num_nextn_predict_layers 1") != std::string::npos);
}

TEST_CASE("model folder: saving replaces the folder whole and brings the tokenizer along") {
  Context ctx(1);
  const ModelConfig config = small_config();
  OwnedWeights weights = random_weights(config, DType::f32);
  TemporaryFolder dir;
  fs::create_directories(dir / "m");
  dir.write("m/tokenizer.json", "{}");
  dir.write("m/leftover", "");
  save_model(weights.view, config, dir / "m", {.tokenizer_from = dir / "m"});
  CHECK(fs::exists(dir / "m/tokenizer.json"));
  CHECK_FALSE(fs::exists(dir / "m/leftover"));
  CHECK_FALSE(fs::exists(dir / "m.old"));
  CHECK_NOTHROW(load_model(ctx, dir / "m", DType::f32));
  CHECK_THROWS_AS(load_model(ctx, dir / "absent", DType::f32), UserError);
}

TEST_CASE("golden: every model's folder loads with all its names") {
  Context ctx(2);
  for (const fs::path& dir : test::golden_models()) {
    INFO(dir.filename().string());
    LoadedModel model = load_model(ctx, dir, DType::f32);
    const SafetensorsFile file(dir / "model.safetensors");
    size_t matched = 0;
    for (const PublishedTensor& tensor : published_tensors(model.weights.view, model.config)) {
      INFO(tensor.name);
      const StoredTensor* stored = file.find(tensor.name);
      REQUIRE(stored != nullptr);
      CHECK(std::memcmp(stored->data, tensor.part.data, stored->bytes) == 0);
      ++matched;
    }
    CHECK(matched == file.tensors().size());
  }
}

}  // namespace
}  // namespace temper
