#include "tests/support/paths.h"

#include <cstdlib>

namespace temper::test {

const std::string& source_dir() {
  static const std::string path = TEMPER_SOURCE_DIR;
  return path;
}

const std::string& temper_binary() {
  static const std::string path = [] {
    const char* elsewhere = std::getenv("TEMPER_BINARY");
    return std::string(elsewhere != nullptr ? elsewhere : TEMPER_BINARY);
  }();
  return path;
}

}  // namespace temper::test
