// A folder in which the binary runs as a user runs it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/compare_runs.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"
#include "tests/support/run_binary.h"
#include "tests/support/temporary_folder.h"

namespace temper::test {

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The names of what is not alike, each with a space behind it; the next assertion that fails shows
// an example of each.
inline std::string differing(const std::vector<RunDifference>& differences) {
  std::string names;
  for (const RunDifference& d : differences) {
    if (d.differing == 0) continue;
    UNSCOPED_INFO(d.what << ": " << d.example);
    names += d.what + " ";
  }
  return names;
}
// The same of two run directories.
inline std::string differing(const std::filesystem::path& a, const std::filesystem::path& b) {
  return differing(compare_runs(a, b));
}

struct Workshop {
  TemporaryFolder folder;

  std::filesystem::path path(const std::string& name) const { return folder / name; }
  bool exists(const std::string& name) const { return std::filesystem::exists(path(name)); }

  ProgramResult run(const Arguments& arguments) const {
    return run_program(temper_binary(), arguments, folder.path());
  }
  // Runs what must end with this exit code.
  ProgramResult ended(int code, const Arguments& arguments) const {
    const ProgramResult result = run(arguments);
    INFO(arguments[0] << ": " << result.err);
    REQUIRE(result.exit_code == code);
    return result;
  }
  // The same; returns what it wrote to stderr and stdout.
  std::string ends(int code, const Arguments& arguments) const {
    const ProgramResult result = ended(code, arguments);
    return result.err + result.out;
  }
  // Runs what must go well; returns the standard output.
  std::string done(const Arguments& arguments) const { return ended(0, arguments).out; }
  // Runs what must be refused, in words that hold all `parts`.
  void refused(const Arguments& arguments, const std::vector<std::string>& parts,
               int code = 2) const {
    const ProgramResult result = run(arguments);
    INFO(result.err);
    CHECK(result.exit_code == code);
    for (const std::string& part : parts) CHECK_THAT(result.err, Contains(part));
  }
};

}  // namespace temper::test
