// Runs a program as a user would and keeps what it wrote.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace temper {

using Arguments = std::vector<std::string>;
inline Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct ProgramResult {
  int exit_code = -1;  // 128 + signal if it was killed by one
  std::string out;
  std::string err;
};

// Runs `program` with `arguments` in folder `where` (empty: here), without a shell, and waits.
// Throws SystemError if it cannot be started.
ProgramResult run_program(const std::string& program, const Arguments& arguments,
                          const std::filesystem::path& where = {});

}  // namespace temper
