// Where tests find the oracles and data that are not in the repository.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace temper::test {

// The folder of golden oracles: the environment variable TEMPER_GOLDEN, or ../shared/golden.
inline std::filesystem::path golden_dir() {
  const char* named = std::getenv("TEMPER_GOLDEN");
  return named != nullptr ? named : TEMPER_SOURCE_DIR "/../shared/golden";
}

inline std::filesystem::path shared_data_dir() {
  return TEMPER_SOURCE_DIR "/../shared/data";
}

// Whether `path` exists; says on stderr that the test is skipped if not.
inline bool present(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) return true;
  std::fprintf(stderr, "skipped: no %s\n", path.c_str());
  return false;
}

}  // namespace temper::test
