#include "core/host_memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace temper {
namespace fs = std::filesystem;
namespace {

// The number behind `key` in a file of lines "key: 12 kB" or "key 12".
std::optional<int64_t> keyed(const fs::path& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const size_t digits = line.find_first_of("0123456789", key.size());
    if (digits == std::string::npos) continue;
    return std::stoll(line.substr(digits));
  }
  return {};
}

// The number that a file is; none if it is absent, or "max".
std::optional<int64_t> whole(const fs::path& file) {
  std::ifstream in(file);
  int64_t number = 0;
  if (in >> number) return number;
  return {};
}

// The names of one version of control groups.
struct GroupFiles {
  const char *limit, *used, *reclaimable;
};
constexpr GroupFiles kV2{"memory.max", "memory.current", "inactive_file "};
constexpr GroupFiles kV1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "};

// What the group and those above it leave. Pages of files that nobody uses are given back.
int64_t left_in_groups(const fs::path& mount, const fs::path& group, const GroupFiles& files) {
  int64_t left = INT64_MAX;
  for (fs::path at = group.relative_path();; at = at.parent_path()) {
    const fs::path dir = mount / at;
    const auto limit = whole(dir / files.limit), used = whole(dir / files.used);
    if (limit && used) {
      const int64_t cache = keyed(dir / "memory.stat", files.reclaimable).value_or(0);
      left = std::min(left, std::max<int64_t>(0, *limit - *used + cache));
    }
    if (at.empty()) return left;
  }
}

int64_t left_in_control_groups(const fs::path& root) {
  std::ifstream in(root / "proc/self/cgroup");
  int64_t left = INT64_MAX;
  for (std::string line; std::getline(in, line);) {  // "0::/user/x", or "4:memory:/user/x"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = line.substr(second + 1), mount = root / "sys/fs/cgroup";
    if (controllers.empty()) left = std::min(left, left_in_groups(mount, group, kV2));
    if (controllers == "memory")
      left = std::min(left, left_in_groups(mount / "memory", group, kV1));
  }
  return left;
}

int64_t left_of_limit(decltype(RLIMIT_AS) resource, std::optional<int64_t> used_kib) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return INT64_MAX;
  const auto most = static_cast<int64_t>(std::min<rlim_t>(limit.rlim_cur, INT64_MAX));
  return std::max<int64_t>(0, most - used_kib.value_or(0) * 1024);
}

}  // namespace

int64_t available_host_memory(const fs::path& root) {
  const std::optional<int64_t> machine = keyed(root / "proc/meminfo", "MemAvailable:");
  const fs::path status = root / "proc/self/status";
  return std::min({machine ? *machine * 1024 : int64_t{8} << 30, left_in_control_groups(root),
                   left_of_limit(RLIMIT_AS, keyed(status, "VmSize:")),
                   left_of_limit(RLIMIT_DATA, keyed(status, "VmData:"))});
}

}  // namespace temper
