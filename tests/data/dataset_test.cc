// Data files: rows, messages of errors, counts, prompts.
#include "data/dataset.h"

#include <algorithm>
#include <memory>
#include <set>

#include "core/error.h"
#include "data/jsonl.h"
#include "data/prompts.h"
#include "data/tokenizer_export.h"
#include "tests/support/catch.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

using namespace temper;
using T = TinyTokenizer;

namespace {

// The tiny tokenizer with its template, and files beside it.
struct Bench {
  Bench() { write_tiny_tokenizer(folder.path()); }
  std::filesystem::path file(const std::string& text, const std::string& name = "data.jsonl") {
    return folder.write(name, text);
  }
  SftData sft(const std::string& text, SftDataOptions options = {}) {
    if (!tokenizer) load();
    return read_sft_data({file(text)}, SftRowReader(tokenizer.get(), chat.get()), options);
  }
  PromptData prompts(const std::string& text, PromptOptions options = {}) {
    if (!tokenizer) load();
    return read_prompts({file(text)}, tokenizer.get(), chat.get(), options);
  }
  void load() {
    tokenizer = std::make_unique<Tokenizer>(folder.path());
    chat = std::make_unique<ChatTemplate>("temper", *tokenizer);
  }

  TemporaryFolder folder;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat;
};

}  // namespace

TEST_CASE("jsonl names file and line of what is wrong") {
  Bench bench;
  const auto path = bench.file("{\"a\":1}\n\n  \n{\"a\":2}\r\n{\"a\":}\n");
  JsonlReader reader(path);
  REQUIRE(reader.next());
  REQUIRE(reader.row()["a"].GetInt() == 1);
  REQUIRE(reader.next());
  REQUIRE(reader.where() == path.string() + ":4");
  REQUIRE_THROWS_WITH(reader.next(), Contains("data.jsonl:5, column 6"));
  REQUIRE_THROWS_AS(JsonlReader(bench.folder / "absent.jsonl"), UserError);
  JsonlReader bytes(bench.file("{\"a\":\"\xFF\"}\n"));
  REQUIRE_THROWS_WITH(bytes.next(), Contains("data.jsonl:1, byte 7"));
  JsonlReader number(bench.file("3\n"));
  REQUIRE_THROWS_WITH(number.next(), Contains("not a JSON object"));
}

TEST_CASE("a json list is read as rows") {
  Bench bench;
  JsonlReader reader(bench.file(" \n[{\"a\":1},\n {\"a\":2}, 3]", "list.json"));
  REQUIRE(reader.next());
  REQUIRE(reader.next());
  REQUIRE(reader.row()["a"].GetInt() == 2);
  REQUIRE(reader.where().ends_with("list.json[1]"));
  REQUIRE_THROWS_AS(reader.next(), UserError);
}

TEST_CASE("every kind of row becomes the sample it should") {
  Bench bench;
  const std::vector<int32_t> ids = {T::kBegin, T::kUser, 'q', T::kAssistant, 'a', T::kEnd};
  const std::vector<uint8_t> mask = {0, 0, 0, 0, 1, 1};
  for (const char* row :
       {R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})",
        R"({"prompt":"q","completion":"a"})", R"({"question":"q","answer":"a"})",
        R"({"problem":"q","answer":"x","solution":"a"})"}) {
    INFO(row);
    const SftData data = bench.sft(row);
    REQUIRE(data.samples.size() == 1);
    REQUIRE(data.samples[0].ids == ids);
    REQUIRE(data.samples[0].mask == mask);
  }
  const SftData by_ids = bench.sft("{\"ids\":[5,6,7]}\n{\"ids\":[5,6,7],\"mask\":[1,0,1]}\n");
  REQUIRE(by_ids.samples[0].mask == std::vector<uint8_t>{0, 1, 1});
  REQUIRE(by_ids.samples[1].mask == std::vector<uint8_t>{0, 0, 1});
}

TEST_CASE("bad rows are refused with their line") {
  Bench bench;
  const auto refused = [&](const std::string& row) {
    try {
      bench.sft("{\"prompt\":\"q\",\"completion\":\"a\"}\n" + row + "\n");
    } catch (const UserError& error) {
      return std::string(error.what()).find("data.jsonl:2") != std::string::npos;
    }
    return false;
  };
  REQUIRE(refused(R"({"prompt":"q"})"));
  REQUIRE(refused(R"({"messages":[{"role":"user"}]})"));
  REQUIRE(refused(R"({"messages":[{"role":"wizard","content":"x"}]})"));
  REQUIRE(refused(R"({"messages":"q"})"));
  REQUIRE(refused(R"({"ids":[1,-2]})"));
  REQUIRE(refused(R"({"ids":[1,2.5]})"));
  REQUIRE(refused(R"({"ids":[1,2],"mask":[1]})"));
  const SftRowReader no_tokenizer(nullptr, nullptr, 10);
  const Json text = parse_json(R"({"prompt":"q","completion":"a"})", "row");
  REQUIRE_THROWS_AS(no_tokenizer.read(text, "row"), UserError);
  const Json large = parse_json(R"({"ids":[1,10]})", "row");
  REQUIRE_THROWS_WITH(no_tokenizer.read(large, "row"), Contains("0 to 9"));
}

TEST_CASE("long rows are cut, left out or refused, and counted") {
  Bench bench;
  const std::string rows =
      "{\"ids\":[1,2,3]}\n{\"ids\":[1,2,3,4,5]}\n{\"ids\":[1,2,3,4],\"mask\":[0,0,0,1]}\n";
  const SftData cut = bench.sft(rows, {.max_tokens = 3});
  REQUIRE(cut.samples.size() == 2);
  REQUIRE(cut.samples[1].ids == std::vector<int32_t>{1, 2, 3});
  REQUIRE(cut.counts.rows == 3);
  REQUIRE(cut.counts.kept == 2);
  REQUIRE(cut.counts.truncated == 1);
  REQUIRE(cut.counts.empty_mask == 1);  // the third lost its only target
  REQUIRE(cut.counts.tokens == 6);
  REQUIRE(cut.counts.targets == 4);
  REQUIRE_THAT(cut.counts.warnings(), Contains("1 of 3 rows have no token with loss"));
  const SftData dropped = bench.sft(rows, {.max_tokens = 3, .long_rows = LongRows::drop});
  REQUIRE(dropped.counts.dropped == 2);
  REQUIRE(dropped.samples.size() == 1);
  REQUIRE_THROWS_WITH(bench.sft(rows, {.max_tokens = 3, .long_rows = LongRows::refuse}),
                      Contains("data.jsonl:2"));
  REQUIRE_THROWS_AS(bench.sft("{\"ids\":[1]}\n"), UserError);
}

TEST_CASE("a held-out split is disjoint, complete and the same each time") {
  const HeldOutSplit a = split_held_out(50, 7, 3), b = split_held_out(50, 7, 3);
  REQUIRE(a.train == b.train);
  REQUIRE(a.held_out == b.held_out);
  REQUIRE(a.held_out.size() == 7);
  std::set<uint32_t> all(a.train.begin(), a.train.end());
  all.insert(a.held_out.begin(), a.held_out.end());
  REQUIRE(all.size() == 50);
  REQUIRE(std::is_sorted(a.train.begin(), a.train.end()));
  REQUIRE(split_held_out(50, 7, 4).held_out != a.held_out);
  REQUIRE(split_held_out(3, 9, 1).train.empty());
}

TEST_CASE("prompts end where the model writes, with their gold") {
  Bench bench;
  const PromptData data = bench.prompts(
      R"({"question":"q","answer":"think\n#### 1,234 "})"
      "\n"
      R"({"problem":"q","answer":"\\frac12","solution":"long","unique_id":"u7"})"
      "\n"
      R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"g"}]})"
      "\n"
      R"({"prompt":"q","numbers":[1,2],"target":3})"
      "\n{\"ids\":[1,2]}\n");
  REQUIRE(data.prompts.size() == 5);
  const std::vector<int32_t> ids = {T::kBegin, T::kUser, 'q', T::kAssistant};
  for (size_t i = 0; i < 4; ++i) REQUIRE(data.prompts[i].ids == ids);
  REQUIRE(data.prompts[0].text == "<|begin|><|user|>q<|assistant|>");
  REQUIRE(data.prompts[0].gold == "1,234");
  REQUIRE(data.prompts[0].id.ends_with("data.jsonl:1"));
  REQUIRE(data.prompts[1].gold == "\\frac12");
  REQUIRE(data.prompts[1].id == "u7");
  REQUIRE(data.prompts[2].gold == "g");
  REQUIRE(data.prompts[3].gold == "3");
  REQUIRE_THAT(data.prompts[3].extra, Contains("\"numbers\":[1,2]"));
  REQUIRE(data.prompts[4].ids == std::vector<int32_t>{1, 2});
  REQUIRE(data.no_gold == 1);
}

TEST_CASE("prompts take a system message, a suffix, limits") {
  Bench bench;
  const std::string rows =
      "{\"prompt\":\"q\"}\n{\"prompt\":\"a longer one\"}\n{\"prompt\":\"r\"}\n";
  const PromptData data =
      bench.prompts(rows, {.system = "S", .suffix = "!", .max_tokens = 8, .limit = 2});
  REQUIRE(data.rows == 2);
  REQUIRE(data.too_long == 1);
  REQUIRE(data.prompts.size() == 1);
  REQUIRE(data.prompts[0].text == "<|begin|><|system|>S<|user|>q!<|assistant|>");
  REQUIRE_THROWS_WITH(bench.prompts("{\"x\":1}\n"), Contains("data.jsonl:1"));
  REQUIRE_THROWS_AS(bench.prompts("{\"prompt\":\"too long\"}\n", {.max_tokens = 2}), UserError);
}

TEST_CASE("GSM8K and MATH rows work as they are") {
  const auto gsm8k = test::shared_data_dir() / "gsm8k/test.jsonl";
  const auto math = test::shared_data_dir() / "math/math500_test.json";
  if (!test::present(gsm8k) || !test::present(math)) return;
  Bench bench;
  bench.load();
  const PromptData data = read_prompts({gsm8k, math}, bench.tokenizer.get(), bench.chat.get());
  REQUIRE(data.prompts.size() == 1319 + 500);
  REQUIRE(data.no_gold == 0);
  REQUIRE(data.prompts[0].gold == "18");
  const SftRowReader reader(bench.tokenizer.get(), bench.chat.get());
  REQUIRE(read_sft_data({gsm8k, math}, reader, {}).counts.kept == 1819);
}
