#include "cli/build_info.h"

#include "build_info_values.h"

namespace temper {

BuildInfo build_info() {
  return {.version = TEMPER_VERSION,
          .commit = TEMPER_COMMIT,
          .compiler = TEMPER_COMPILER,
          .flags = TEMPER_BUILD_FLAGS,
          .cuda = TEMPER_CUDA_VERSION,
          .libraries = {{"SQLite", TEMPER_SQLITE_VERSION}, {"CLI11", TEMPER_CLI11_VERSION}}};
}

std::string code_version() {
  const BuildInfo info = build_info();
  return info.commit.empty() ? info.version : info.version + " (" + info.commit + ")";
}

}  // namespace temper
