// Preference rows of the forms that people have.
#include "reward/preference/data.h"

#include <set>

#include "core/error.h"
#include "reward/preference/scored_text.h"
#include "tests/reward/preference/toy.h"
#include "tests/support/catch.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

PreferenceRow read(const std::string& json) {
  return read_preference(parse_json(json, "row"), "row");
}

}  // namespace

TEST_CASE("preference data: pairs of every form say the same") {
  for (const char* json : {
           R"({"prompt":"q","chosen":"a","rejected":"b"})",
           R"({"question":"q","chosen":{"role":"assistant","content":"a"},"rejected":"b"})",
           R"({"conversations":[{"from":"human","value":"q"}],"chosen":{"from":"gpt","value":"a"},)"
           R"("rejected":{"from":"gpt","value":"b"}})",
           R"({"messages":[{"role":"user","content":"q"}],"chosen":"a","rejected":"b"})",
           R"({"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],)"
           R"("rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]})",
           R"({"prompt":[{"role":"user","content":"q"}],"chosen":[{"role":"assistant",)"
           R"("content":"a"}],"rejected":[{"role":"assistant","content":"b"}]})",
       }) {
    INFO(json);
    const PreferenceRow row = read(json);
    REQUIRE(row.prompt.size() == 1);
    CHECK(row.prompt[0].role == "user");
    CHECK(row.prompt[0].content == "q");
    CHECK(row.answers == std::vector<std::string>{"a", "b"});
    CHECK(row.good == std::vector<bool>{true, false});
  }
}

TEST_CASE("preference data: labelled answers") {
  CHECK(read(R"({"prompt":"q","answer":"a","label":true})").good == std::vector<bool>{true});
  CHECK(read(R"({"prompt":"q","response":"a","label":0})").good == std::vector<bool>{false});
  const PreferenceRow row =
      read(R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],)"
           R"("safe":false})");
  CHECK(row.answers == std::vector<std::string>{"a"});
  CHECK(row.prompt.size() == 1);
}

TEST_CASE("preference data: what is wrong with a row is said with its place") {
  for (const char* json : {
           R"({"prompt":"q","chosen":"a"})",
           R"({"chosen":"a","rejected":"b"})",
           R"({"prompt":"q","answer":"a"})",
           R"({"prompt":"q","answer":"a","label":2})",
           R"({"prompt":"q","label":1})",
           R"({"prompt":"q","chosen":[{"role":"user","content":"x"}],"rejected":"b"})",
           R"({"messages":[{"role":"assistant","content":"q"}],"chosen":"a","rejected":"b"})",
           R"({"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],)"
           R"("rejected":[{"role":"user","content":"p"},{"role":"assistant","content":"b"}]})",
       }) {
    INFO(json);
    CHECK_THROWS_AS(read(json), UserError);
  }
  const TemporaryFolder dir;
  dir.write("pairs.jsonl",
            "{\"prompt\":\"q\",\"chosen\":\"a\",\"rejected\":\"b\"}\n{\"prompt\":\"q\"}\n");
  try {
    read_preferences({dir / "pairs.jsonl"});
    FAIL("accepted");
  } catch (const UserError& error) {
    CHECK(std::string(error.what()).find("pairs.jsonl:2") != std::string::npos);
  }
}

TEST_CASE("preference data: no prompt is on both sides of the split") {
  std::vector<PreferenceRow> rows = test::toy_rows(40, 3);
  for (size_t i = 0; i < 20; ++i) rows[i + 20].prompt = rows[i].prompt;  // each prompt twice
  const PreferenceSplit split = split_preferences(rows, 0.25, 7);
  CHECK(split.held_out.size() == 10);
  CHECK(split.train.size() == 30);
  std::set<std::string> held;
  for (size_t i : split.held_out) held.insert(rows[i].prompt[0].content);
  for (size_t i : split.train) CHECK(held.count(rows[i].prompt[0].content) == 0);
  CHECK(split_preferences(rows, 0.25, 7).held_out == split.held_out);
  CHECK(split_preferences(rows, 0.25, 8).held_out != split.held_out);
}

TEST_CASE("preference data: the shared set is read whole") {
  const auto path = test::shared_data_dir() / "preference/dpo_en_demo.json";
  if (!test::present(path)) return;
  const std::vector<PreferenceRow> rows = read_preferences({path});
  CHECK(rows.size() == 300);
  for (const PreferenceRow& row : rows) CHECK(row.is_pair());
}

TEST_CASE("preference data: a text is cut at the prompt's beginning, then at the answer's end") {
  const TemporaryFolder dir;
  write_tiny_tokenizer(dir.path());
  const Tokenizer tokenizer(dir.path());
  const ChatTemplate chat("temper", tokenizer);
  const Conversation prompt{{"user", "0123456789"}};
  const ScoredText whole = scored_text(tokenizer, chat, prompt, "abcdef", 100);
  const std::string text = tokenizer.decode(whole.ids);
  CHECK(text == "<|begin|><|user|>0123456789<|assistant|>abcdef<|end|>");
  CHECK(whole.answer_tokens == 6);
  CHECK_FALSE(whole.cut);
  const ScoredText shorter = scored_text(tokenizer, chat, prompt, "abcdef", 12);
  CHECK(tokenizer.decode(shorter.ids) == "6789<|assistant|>abcdef<|end|>");
  CHECK(shorter.cut);
  CHECK(shorter.ids.size() == 12);
  const ScoredText shortest = scored_text(tokenizer, chat, prompt, "abcdef", 8);
  CHECK(tokenizer.decode(shortest.ids) == "9<|assistant|>abcde<|end|>");
  CHECK(shortest.answer_tokens == 6);
  // A stop token that an answer spells is text: it ends nothing.
  const ScoredText spelt = scored_text(tokenizer, chat, prompt, "a<|end|>b", 100);
  CHECK(std::count(spelt.ids.begin(), spelt.ids.end(), TinyTokenizer::kEnd) == 1);
}
