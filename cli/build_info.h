// What this binary was built from and with: for --version, doctor and the row of each run.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace temper {

struct BuildInfo {
  std::string version;   // "0.1.0"
  std::string commit;    // "1a2b3c4d5e6f", with "-modified" if the tree was; "" outside of git
  std::string compiler;  // "GNU 12.2.0"
  std::string flags;     // "Release, -march=native"
  std::string cuda;      // its version; "" in a CPU-only build
  std::vector<std::pair<std::string, std::string>> libraries;  // name, version built against
};

BuildInfo build_info();  // of this binary

// "0.1.0 (1a2b3c4d5e6f)": what a run records as its code.
std::string code_version();

}  // namespace temper
