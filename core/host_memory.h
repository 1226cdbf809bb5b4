// How much memory this process can still take: the machine's, its group's and its own limits.
#pragma once

#include <cstdint>
#include <filesystem>

namespace temper {

// The least of what /proc/meminfo calls available, what the memory limits of the process's control
// groups leave (cgroup v2 and v1, every group above it too), and what RLIMIT_AS and RLIMIT_DATA
// leave. Units: bytes. `root` stands before /proc and /sys.
int64_t available_host_memory(const std::filesystem::path& root = "/");

}  // namespace temper
