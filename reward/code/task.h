// What a data row asks of a program: its tests, in the forms that published data sets have.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace temper {

enum class CodeLanguage { python, cpp };

struct StreamTest {
  std::string input, output;
};

struct CodeTask {
  enum class Kind {
    streams,     // `streams`: the standard output for a standard input
    assertions,  // `tests`: Python statements about names that the answer defines
    check,       // `tests[0]` defines check(candidate), to be called with the answer's `entry`
  };
  Kind kind = Kind::streams;
  std::vector<StreamTest> streams = {};
  std::vector<std::string> tests = {};
  std::string setup = {};      // of assertions: run before them
  std::string prompt = {};     // Python that the answer goes on from; may be words instead
  std::string entry = {};      // of check
  std::string reference = {};  // a right program, which only the trusted side sees; may be empty
  std::optional<CodeLanguage> language = {};  // if the row says one
  std::optional<double> tolerance = {};       // likewise
};

// Reads the tests from `row`, or from `gold` if that is JSON text of an object with tests; nullopt
// with a reason if there are none or they are not in one of the forms of docs/rewards.md.
std::optional<CodeTask> read_code_task(const JsonValue* row, std::string_view gold,
                                       std::string& reason);

// "python", "py", "python3", "cpp", "c++", "cc": the language, in any case of letters.
std::optional<CodeLanguage> language_of(std::string_view name);

}  // namespace temper
