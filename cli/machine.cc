#include "cli/machine.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <system_error>

namespace temper {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The value of the first line "key : value" (or "key: value") of a file under /proc.
std::string field_of(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

int64_t kibibytes_of(const std::string& key) {
  const std::string text = field_of("/proc/meminfo", key);
  return text.empty() ? 0 : std::strtoll(text.c_str(), nullptr, 10) * 1024;
}

bool has_word(const std::string& text, const std::string& word) {
  std::istringstream words(text);
  for (std::string each; words >> each;) {
    if (each == word) return true;
  }
  return false;
}

std::string vector_sets() {
  const std::string flags = field_of("/proc/cpuinfo", "flags");
  const std::pair<const char*, const char*> known[] = {
      {"avx2", "AVX2"},        {"fma", "FMA"},
      {"avx512f", "AVX-512"},  {"avx512_bf16", "AVX-512-BF16"},
      {"avx512_vnni", "VNNI"}, {"amx_bf16", "AMX-BF16"},
  };
  std::string text;
  for (const auto& [flag, name] : known) {
    if (has_word(flags, flag)) text += (text.empty() ? "" : " ") + std::string(name);
  }
  return text.empty() ? "none known" : text;
}

// The folder of this process in the unified hierarchy, or "".
std::string cgroup_folder() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("0::", 0) == 0) return "/sys/fs/cgroup" + line.substr(3);
  }
  return "";
}

// Whether `body` returns true in a child of its own, where it may give up rights.
template <class Body>
bool works_in_child(Body body) {
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) _exit(body() ? 0 : 1);
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int landlock_version() {
#ifdef SYS_landlock_create_ruleset
  constexpr unsigned kAskVersion = 1;  // LANDLOCK_CREATE_RULESET_VERSION
  const long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion);
  return version > 0 ? static_cast<int>(version) : 0;
#else
  return 0;
#endif
}

}  // namespace

Machine probe_machine() {
  Machine machine;
  machine.cpu = field_of("/proc/cpuinfo", "model name");
  if (machine.cpu.empty()) machine.cpu = "unknown";
  cpu_set_t set;
  CPU_ZERO(&set);
  machine.cores = sched_getaffinity(0, sizeof set, &set) == 0
                      ? CPU_COUNT(&set)
                      : static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  machine.vector_sets = vector_sets();
  machine.memory_bytes = kibibytes_of("MemTotal");
  machine.memory_free = kibibytes_of("MemAvailable");
  const std::string limit = first_line(cgroup_folder() + "/memory.max");
  const int64_t limit_bytes = std::strtoll(limit.c_str(), nullptr, 10);
  if (limit_bytes > 0) machine.memory_bytes = std::min(machine.memory_bytes, limit_bytes);
  utsname system{};
  if (uname(&system) == 0) {
    machine.system = std::string(system.sysname) + " " + system.release + " " + system.machine;
  }
  machine.gpu_driver = first_line("/proc/driver/nvidia/version");
  return machine;
}

int64_t free_disk_bytes(const std::filesystem::path& path) {
  std::error_code error;
  const auto space = std::filesystem::space(path, error);
  return error ? -1 : static_cast<int64_t>(space.available);
}

SandboxLayers probe_sandbox() {
  SandboxLayers layers;
  layers.user_namespaces = works_in_child([] { return unshare(CLONE_NEWUSER) == 0; });
  layers.mount_namespaces =
      works_in_child([] { return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0; });
  layers.process_namespaces =
      works_in_child([] { return unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWIPC) == 0; });
  layers.network_namespaces =
      works_in_child([] { return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0; });
  layers.seccomp_filters =
      !first_line("/proc/sys/kernel/seccomp/actions_avail").empty() && prctl(PR_GET_SECCOMP) >= 0;
  layers.landlock_version = landlock_version();
  return layers;
}

}  // namespace temper
