// The parsers of files that somebody else made, each behind one function that takes any bytes.
#pragma once

#include <span>
#include <string_view>

namespace temper::test {

struct FuzzTarget {
  const char* name;  // also its folder in tests/fuzz/corpus
  // Reads the bytes as such a file and uses what was read. What the parser refuses (UserError,
  // SystemError) is well; any other exception, and any fault, is a bug.
  void (*run)(std::string_view bytes);
};

std::span<const FuzzTarget> fuzz_targets();

// Calls the target and passes over what the parser may throw.
void run_fuzz_target(const FuzzTarget& target, std::string_view bytes);

}  // namespace temper::test
