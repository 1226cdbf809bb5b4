#include "model/config.h"

#include <cmath>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "tests/support/catch.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

namespace temper {
namespace {

std::string published_v3() {
  return model_config_json(preset_config("deepseek-v3"), "bfloat16");
}

ModelConfig parse(const std::string& text) {
  return parse_model_config(parse_json(text, "config.json"), "config.json");
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

Blame blame_of(const std::string& text) {
  try {
    parse(text);
  } catch (const UserError& error) {
    return error.blame();
  }
  FAIL("no UserError for " + text);
  return {};
}

TEST_CASE("config: what is written reads back the same, for every preset") {
  for (const std::string& name : preset_names()) {
    INFO(name);
    const ModelConfig config = preset_config(name);
    const std::string text = model_config_json(config, "float32");
    const ModelConfig again = parse(text);
    CHECK(model_config_json(again, "float32") == text);
    CHECK(again.q_lora_rank == config.q_lora_rank);
    CHECK(again.rope.type == config.rope.type);
    CHECK(again.softmax_scale() == config.softmax_scale());
    CHECK(again.num_nextn_predict_layers == config.num_nextn_predict_layers);
  }
}

TEST_CASE("config: V3's softmax scale has YaRN's mscale squared") {
  // Source of the figures: v3-engine 1.3.
  CHECK(preset_config("deepseek-v3").softmax_scale() == Approx(0.135234).epsilon(1e-5));
  ModelConfig plain = preset_config("moonlight-16b");
  CHECK(plain.softmax_scale() == Approx(1 / std::sqrt(192.0)));
  plain.rope.type = RopeType::yarn;  // DeepSeek-V2-Lite's numbers
  plain.rope.factor = 40;
  plain.rope.mscale = plain.rope.mscale_all_dim = 0.707;
  CHECK(plain.softmax_scale() * std::sqrt(192.0) == Approx(1.58963).epsilon(1e-5));
}

TEST_CASE("config: both spellings of rotary scaling give one model") {
  const ModelConfig published = parse(published_v3());
  Json json = parse_json(published_v3(), "config.json");
  auto& allocator = json.GetAllocator();
  JsonValue parameters(json["rope_scaling"], allocator);
  parameters.RemoveMember("type");
  parameters.AddMember("rope_theta", 10000.0, allocator);
  json.RemoveMember("rope_scaling");
  json.RemoveMember("rope_theta");
  json.AddMember("rope_parameters", parameters, allocator);
  CHECK(model_config_json(parse(to_text(json)), "bfloat16") ==
        model_config_json(published, "bfloat16"));
}

TEST_CASE("config: DeepSeek-V2 takes the softmax gate without a bias") {
  std::string text = replaced(published_v3(), "\"deepseek_v3\"", "\"deepseek_v2\"");
  text = replaced(text, "noaux_tc", "group_limited_greedy");
  text = replaced(text, "sigmoid", "softmax");
  const ModelConfig grouped = parse(text);
  CHECK(grouped.scoring_func == ScoringFunc::softmax);
  CHECK(grouped.group_limited);
  CHECK_FALSE(grouped.has_correction_bias);
  const ModelConfig greedy = parse(replaced(text, "group_limited_greedy", "greedy"));
  CHECK_FALSE(greedy.group_limited);
}

TEST_CASE("config: a wrong or missing key is named with the file, what was expected and found") {
  Blame blame = blame_of(replaced(published_v3(), "\"kv_lora_rank\": 512", "\"kv_lora\": 512"));
  CHECK(blame.where == "config.json");
  CHECK(blame.what.find("kv_lora_rank") != std::string::npos);
  CHECK(blame.found == "nothing");
  blame = blame_of(replaced(published_v3(), "sigmoid", "sigmoyd"));
  CHECK(blame.what.find("scoring_func") != std::string::npos);
  CHECK(blame.found == "\"sigmoyd\"");
  CHECK(blame.hint == "did you mean 'sigmoid'?");
  blame = blame_of(replaced(published_v3(), "\"n_group\": 8", "\"n_group\": 7"));
  CHECK(blame.what.find("n_group") != std::string::npos);
  blame = blame_of(replaced(published_v3(), "\"beta_fast\": 32.0", "\"beta_fast\": \"x\""));
  CHECK(blame.what.find("rope_scaling.beta_fast") != std::string::npos);
  blame = blame_of(replaced(published_v3(), "\"silu\"", "\"gelu\""));
  CHECK(blame.what.find("hidden_act") != std::string::npos);
  CHECK(blame.expected == "one of silu");
  CHECK(blame.hint.empty());  // to write silu there would make another model of it
  blame = blame_of(R"({"model_type": "mamba"})");
  CHECK(blame.expected.find("deepseek_v3") != std::string::npos);
  blame = blame_of("[]");
  CHECK(blame.expected == "a JSON object");
}

TEST_CASE("config: a mistyped key is an error that names the key that was meant") {
  const auto mistyped = [](const std::string& key, const std::string& as) {
    return blame_of(replaced(published_v3(), '"' + key + '"', '"' + as + '"'));
  };
  for (const auto& [key, as] :
       std::map<std::string, std::string>{{"kv_lora_rank", "kv_lora_rnk"},  // cannot do without
                                          {"q_lora_rank", "q_lora_rnak"},   // null by default
                                          {"norm_topk_prob", "norm_topk_probs"},  // true by default
                                          {"rope_scaling", "rope_scalling"},      // none by default
                                          {"rms_norm_eps", "rms_norm_epsn"}}) {   // 1e-6 by default
    const Blame blame = mistyped(key, as);
    INFO(key);
    CHECK(blame.where == "config.json");
    CHECK(blame.hint == "did you mean '" + key + "'?");
    CHECK((blame.what + blame.found).find(as) != std::string::npos);
  }
  CHECK(mistyped("beta_fast", "beta_fasst").hint == "did you mean 'rope_scaling.beta_fast'?");
  // Keys of others, and those that are known but not needed here, pass.
  const std::string more = replaced(published_v3(), "{",
                                    R"({"pad_token_id": 2, "ep_size": 1, "qk_head_dim": 192,
                                    "pretraining_tp": 1, "seq_aux": true, "dtype": "float32",)");
  CHECK_NOTHROW(parse_model_config(parse_json(more, "config.json"), "config.json"));
}

TEST_CASE("config: stop tokens of generation_config.json are added") {
  TemporaryFolder dir;
  dir.write("config.json", published_v3());
  dir.write("generation_config.json", R"({"eos_token_id": [1, 7]})");
  CHECK(read_model_config(dir.path()).eos_token_id == std::vector<int64_t>{1, 7});
  CHECK_THROWS_AS(read_model_config(dir / "nothing"), UserError);
}

TEST_CASE("config: DeepSeek's published config.json reads") {
  const auto path = test::shared_data_dir() / "deepseek_v3_configs/hf_config_r1_v3arch.json";
  if (!test::present(path)) return;
  ModelConfig config = parse_model_config(parse_json(read_file(path), "r1"), "r1");
  config.initializer_range = 0.006;  // the preset follows the report, the file says 0.02
  CHECK(model_config_json(config, "bfloat16") == published_v3());
}

TEST_CASE("config: the golden models' config.json read, in both forms") {
  for (const std::filesystem::path& dir : test::golden_models()) {
    INFO(dir.filename().string());
    const Json json = parse_json(read_file(dir / "config.json"), "config.json");
    const std::string type = json["model_type"].GetString();
    const ModelConfig config = read_model_config(dir);
    CHECK(config.vocab_size == json["vocab_size"].GetInt64());
    CHECK((config.attention == AttentionKind::mla) == (type == "deepseek_v3"));
    CHECK(config.qk_norm == (type == "qwen3"));
    CHECK(config.qkv_bias == (type == "qwen2"));
    // "type" where it is published as rope_scaling, "rope_type" among transformers 5's parameters.
    std::string rope = "default";
    for (const char* form : {"rope_scaling", "rope_parameters"})
      for (const char* key : {"rope_type", "type"})
        if (const JsonValue* scaling = find_member(json, form))
          if (const JsonValue* name = scaling->IsObject() ? find_member(*scaling, key) : nullptr)
            rope = name->GetString();
    CHECK((config.rope.type == RopeType::yarn) == (rope == "yarn"));
  }
}

}  // namespace
}  // namespace temper
