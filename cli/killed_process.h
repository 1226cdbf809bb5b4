// This program as a child process that is ended at a chosen moment.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace temper {

// When to send SIGKILL: after a time, or at a change of the files in a folder.
struct KillMoment {
  std::optional<double> seconds = {};
  std::optional<int64_t> changes = {};  // counted from 1
};

struct ChildEnd {
  bool killed = false;
  int exit_code = 0;  // of a child that ended by itself; 128 + signal if another signal ended it
  double seconds = 0.0;
  int64_t changes = 0;  // of files under the folder while it ran
};

// Runs this binary with `arguments`; what it writes is appended to the file `log`. `folder`, which
// must exist, is watched with all folders that appear in it. Throws SystemError.
ChildEnd run_and_kill(const std::vector<std::string>& arguments, const std::filesystem::path& log,
                      const std::filesystem::path& folder, const KillMoment& moment);

}  // namespace temper
