// Where tests find the oracles and data that are not in the repository.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/paths.h"

namespace temper::test {

// The folder of golden oracles: the environment variable TEMPER_GOLDEN, or ../shared/golden. A
// relative path is taken from the repository's root, or else from where the test runs. Throws if
// the variable names no folder: a slip in it must not pass for a test that was skipped.
inline std::filesystem::path golden_dir() {
  const std::filesystem::path root = source_dir();
  const char* named = std::getenv("TEMPER_GOLDEN");
  if (named == nullptr || *named == '\0') return root / "../shared/golden";
  for (const std::filesystem::path& dir : {root / named, std::filesystem::path(named)})
    if (std::filesystem::is_directory(dir)) return dir;
  throw std::runtime_error("TEMPER_GOLDEN names no folder: " + std::string(named));
}

inline std::filesystem::path shared_data_dir() {
  return source_dir() + "/../shared/data";
}

// Whether `path` exists; says on stderr that the test is skipped if not, which CTest takes for its
// result: a test that says so compares nothing.
inline bool present(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) return true;
  std::fprintf(stderr, "skipped: no %s\n", path.c_str());
  return false;
}

// The golden folders that hold a model and what it must compute, whatever their names; empty, and
// said on stderr, if there is no golden folder. Throws if it has no model: nothing would be
// compared.
inline std::vector<std::filesystem::path> golden_models() {
  std::vector<std::filesystem::path> out;
  if (!present(golden_dir())) return out;
  for (const auto& entry : std::filesystem::directory_iterator(golden_dir()))
    if (std::filesystem::exists(entry.path() / "expected.safetensors")) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  if (out.empty()) throw std::runtime_error("no golden model in " + golden_dir().string());
  return out;
}

}  // namespace temper::test
