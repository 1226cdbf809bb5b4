// Exactness on what Hugging Face tokenizers gives; skips where ../shared is absent.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/json.h"
#include "data/tokenizer.h"
#include "tests/support/catch.h"

using namespace temper;
namespace fs = std::filesystem;

namespace {

fs::path golden_folder() {
  const char* chosen = std::getenv("TEMPER_GOLDEN");
  return chosen != nullptr ? fs::path(chosen) : fs::path(TEMPER_SOURCE_DIR) / "../shared/golden";
}

fs::path deepseek_folder() {
  return fs::path(TEMPER_SOURCE_DIR) / "../shared/data/deepseek_v3_tokenizer";
}

}  // namespace

TEST_CASE("golden: DeepSeek-V3 tokenizer is exact both ways") {
  const fs::path cases = golden_folder() / "tokenizer_cases.jsonl";
  if (!fs::exists(cases) || !Tokenizer::exists(deepseek_folder())) {
    WARN("skipped: no " << cases << " or " << deepseek_folder());
    return;
  }
  const Tokenizer tokenizer(deepseek_folder());
  REQUIRE(tokenizer.vocab_size() == 128815);
  REQUIRE(tokenizer.bos_id() == 0);
  REQUIRE(tokenizer.eos_ids() == std::vector<int32_t>{1});
  std::ifstream file(cases);
  std::string line;
  int count = 0;
  while (std::getline(file, line)) {
    const Json json = parse_json(line, cases.string());
    const std::string text(json["text"].GetString(), json["text"].GetStringLength());
    std::vector<int32_t> want;
    for (const JsonValue& id : json["ids"].GetArray()) want.push_back(id.GetInt());
    INFO("text: " << text);
    REQUIRE(tokenizer.encode(text) == want);
    REQUIRE(tokenizer.decode(want) == text);
    ++count;
  }
  REQUIRE(count > 0);
}
