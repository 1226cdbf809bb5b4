// `temper model` as a user runs it.
#include <filesystem>

#include "core/file.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/run_binary.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

namespace temper {
namespace {

ProgramResult model(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "model");
  return run_program(test::temper_binary(), arguments);
}

TEST_CASE("cli: model init, info and convert on the tiny preset") {
  TemporaryFolder dir;
  const std::string tiny = dir / "tiny", again = dir / "again", narrow = dir / "narrow";
  REQUIRE(model({"init", "--preset", "tiny", "--out", tiny, "--seed", "3"}).exit_code == 0);
  REQUIRE(model({"init", "--preset", "tiny", "--out", again, "--seed", "3"}).exit_code == 0);
  CHECK(read_file(tiny + "/model.safetensors") == read_file(again + "/model.safetensors"));
  CHECK(std::filesystem::exists(tiny + "/tokenizer.json"));

  const ProgramResult info = model({"info", tiny});
  CHECK(info.exit_code == 0);
  for (const char* part : {"deepseek_v3", "groups", "MTP", "AdamW moments", "KV cache", "F32 in"})
    CHECK(info.out.find(part) != std::string::npos);

  for (const char* dtype : {"bf16", "fp8"}) {
    REQUIRE(model({"convert", "--in", tiny, "--out", narrow, "--dtype", dtype}).exit_code == 0);
    CHECK(std::filesystem::exists(narrow + "/tokenizer_config.json"));
    REQUIRE(model({"convert", "--in", narrow, "--out", again, "--dtype", "f32"}).exit_code == 0);
  }
}

TEST_CASE("cli: model commands refuse what would lose a file or make no sense") {
  TemporaryFolder dir;
  dir.write("notes.txt", "mine");
  const std::string here = dir.path();
  ProgramResult result = model({"init", "--preset", "tiny", "--out", here});
  CHECK(result.exit_code == 2);
  result = model({"convert", "--in", here, "--out", here});
  CHECK(result.exit_code == 2);
  CHECK(read_file(dir / "notes.txt") == "mine");
  result = model({"init", "--preset", "tyny", "--out", dir / "x"});
  CHECK(result.exit_code == 2);
  CHECK(result.err.find("did you mean 'tiny'?") != std::string::npos);
  CHECK(model({"info"}).exit_code == 2);
  CHECK(model({"info", dir / "absent"}).exit_code == 2);
}

TEST_CASE("cli: model convert reads stories260K") {
  const auto source = test::shared_data_dir() / "stories260K/stories260K.bin";
  if (!test::present(source)) return;
  TemporaryFolder dir;
  const ProgramResult result =
      model({"convert", "--in", source, "--out", dir / "m", "--dtype", "f32"});
  CHECK(result.exit_code == 0);
  CHECK(result.err.find("260032 parameters") != std::string::npos);
}

}  // namespace
}  // namespace temper
