#include "tests/support/paths.h"

namespace temper::test {

const std::string& source_dir() {
  static const std::string path = TEMPER_SOURCE_DIR;
  return path;
}

const std::string& temper_binary() {
  static const std::string path = TEMPER_BINARY;
  return path;
}

}  // namespace temper::test
