// Exactness on what Hugging Face tokenizers gives; skips where ../shared is absent.
#include <fstream>
#include <thread>

#include "core/json.h"
#include "data/tokenizer.h"
#include "tests/support/catch.h"
#include "tests/support/shared.h"

using namespace temper;

TEST_CASE("golden: DeepSeek-V3 tokenizer is exact both ways") {
  const auto cases = test::golden_dir() / "tokenizer_cases.jsonl";
  const auto folder = test::shared_data_dir() / "deepseek_v3_tokenizer";
  if (!test::present(cases) || !test::present(folder)) return;
  const Tokenizer tokenizer(folder);
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

TEST_CASE("golden: several threads may use one tokenizer") {
  const auto folder = test::shared_data_dir() / "deepseek_v3_tokenizer";
  const auto rows = test::shared_data_dir() / "gsm8k/test.jsonl";
  if (!test::present(folder) || !test::present(rows)) return;
  const Tokenizer tokenizer(folder);
  std::vector<std::string> lines;
  std::ifstream file(rows);
  for (std::string line; lines.size() < 300 && std::getline(file, line);) lines.push_back(line);
  const auto encode_all = [&] {
    std::vector<std::vector<int32_t>> ids;
    for (const std::string& line : lines) ids.push_back(tokenizer.encode(line));
    return ids;
  };
  std::vector<std::vector<std::vector<int32_t>>> got(4);
  std::vector<std::thread> threads;
  for (auto& one : got) threads.emplace_back([&] { one = encode_all(); });
  for (std::thread& thread : threads) thread.join();
  const auto want = encode_all();
  for (const auto& one : got) REQUIRE(one == want);
}
