// temper tokenize as a user meets it, on the built-in tiny tokenizer.
#include "core/file.h"
#include "data/tokenizer_export.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/run_binary.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

struct Bench {
  Bench() { write_tiny_tokenizer(folder.path()); }
  ProgramResult tokenize(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"tokenize", "--model", folder.path().string()});
    return run_program(test::temper_binary(), arguments);
  }

  TemporaryFolder folder;
};

}  // namespace

TEST_CASE("tokenize writes the rows that tools read") {
  const Bench bench;
  const auto texts = bench.folder.write("texts.jsonl", "{\"text\":\"1é\"}\n\n{\"text\":\"\"}\n");
  const auto out = bench.folder.path() / "ids.jsonl";
  REQUIRE(bench.tokenize({"--file", texts, "--out", out}).exit_code == 0);
  REQUIRE(read_file(out) == "{\"text\":\"1é\",\"ids\":[49,195,169]}\n{\"text\":\"\",\"ids\":[]}\n");
  const auto chats = bench.folder.write(
      "chats.jsonl",
      "{\"messages\":[{\"role\":\"user\",\"content\":\"1\"}],\"add_generation_prompt\":true}\n"
      "{\"messages\":[{\"role\":\"user\",\"content\":\"1\"}]}\n");
  REQUIRE(bench.tokenize({"--messages", chats}).out ==
          "{\"ids\":[256,260,49,261]}\n{\"ids\":[256,260,49]}\n");
  const auto rows = bench.folder.write("rows.jsonl", "{\"prompt\":\"1\",\"completion\":\"2\"}\n");
  REQUIRE(bench.tokenize({"--data", rows}).out ==
          "{\"ids\":[256,260,49,261,50,257],\"mask\":[0,0,0,0,1,1]}\n");
}

TEST_CASE("tokenize --explain shows text, ids and loss side by side") {
  const Bench bench;
  const auto rows = bench.folder.write("rows.jsonl", "{\"prompt\":\"é\",\"completion\":\"\\n\"}\n");
  const ProgramResult shown = bench.tokenize({"--data", rows, "--explain"});
  REQUIRE(shown.exit_code == 0);
  REQUIRE_THAT(shown.out, Contains("256  -     \"<|begin|>\"  special\n"));
  REQUIRE_THAT(shown.out, Contains("195  -     \"\\xC3\"\n"));
  REQUIRE_THAT(shown.out, Contains("10  loss  \"\\n\"\n"));
  REQUIRE_THAT(shown.out, Contains("257  loss  \"<|end|>\"  special\n7 tokens, 2 with loss\n"));
}

TEST_CASE("tokenize says what is wrong and writes nothing then") {
  const Bench bench;
  const auto out = bench.folder.path() / "ids.jsonl";
  const auto bad = bench.folder.write("bad.jsonl", "{\"text\":\"a\"}\n{\"txt\":\"a\"}\n");
  const ProgramResult refused = bench.tokenize({"--file", bad, "--out", out});
  REQUIRE(refused.exit_code == 2);
  REQUIRE_THAT(refused.err, Contains("bad.jsonl:2"));
  REQUIRE_FALSE(std::filesystem::exists(out));
  REQUIRE(bench.tokenize({}).exit_code == 2);
  REQUIRE(bench.tokenize({"--text", "a", "--file", bad}).exit_code == 2);
  const auto chats =
      bench.folder.write("chats.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"1\"}]}\n");
  REQUIRE_THAT(bench.tokenize({"--messages", chats, "--template", "smolm2"}).err,
               Contains("did you mean 'smollm2'?"));
}
