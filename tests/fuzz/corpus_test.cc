// What the fuzzers began with, and every input that they once broke something with.
#include <filesystem>
#include <set>

#include "core/file.h"
#include "tests/fuzz/targets.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"

using namespace temper;
namespace fs = std::filesystem;

TEST_CASE("fuzz: every file of the corpus is read or refused in words") {
  const fs::path corpus = fs::path(test::source_dir()) / "tests/fuzz/corpus";
  std::set<std::string> names;
  for (const test::FuzzTarget& target : test::fuzz_targets()) {
    names.insert(target.name);
    int64_t files = 0;
    for (const auto& entry : fs::directory_iterator(corpus / target.name)) {
      INFO(entry.path());
      const std::string bytes = read_file(entry.path());
      CHECK_NOTHROW(test::run_fuzz_target(target, bytes));
      // Cut short anywhere, too.
      for (size_t part = 1; part < 8; ++part)
        CHECK_NOTHROW(test::run_fuzz_target(target, {bytes.data(), bytes.size() * part / 8}));
      ++files;
    }
    INFO(target.name);
    CHECK(files > 0);
  }
  for (const auto& entry : fs::directory_iterator(corpus))
    CHECK(names.contains(entry.path().filename().string()));
}
