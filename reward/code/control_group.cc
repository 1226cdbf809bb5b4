#include "reward/code/control_group.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace temper {
namespace {

bool write_value(const std::string& path, const std::string& value) {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file.get() >= 0 &&
         write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size());
}

bool has_word(const std::string& path, const std::string& word) {
  std::ifstream file(path);
  for (std::string each; file >> each;) {
    if (each == word) return true;
  }
  return false;
}

// This process's folder in the unified hierarchy, or "".
std::string own_folder() {
  std::string mount;
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string device, point, type;
    if (fields >> device >> point >> type && type == "cgroup2") mount = point;
  }
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; !mount.empty() && std::getline(groups, line);) {
    if (line.starts_with("0::")) return mount + line.substr(3);
  }
  return "";
}

bool gives_controllers(const std::string& folder) {
  const std::string file = folder + "/cgroup.subtree_control";
  return has_word(file, "memory") && has_word(file, "pids");
}

// Makes a folder in which children have the controllers. A group that holds processes cannot give
// controllers to its children (the root excepted), so the parent's siblings are tried as well.
std::string folder_for_groups(const std::string& own) {
  for (const std::string& folder : {own, own + "/.."}) {
    if (access((folder + "/cgroup.procs").c_str(), W_OK) != 0) continue;
    if (gives_controllers(folder)) return folder;
    write_value(folder + "/cgroup.subtree_control", "+memory +pids");
    if (gives_controllers(folder)) return folder;
  }
  return "";
}

// Groups of processes that were killed before they could remove them; a group in use stays.
void remove_left_groups(const std::string& parent) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
    int owner = 0;
    const std::string name = entry.path().filename().string();
    if (std::sscanf(name.c_str(), "temper-%d-", &owner) != 1) continue;
    if (kill(owner, 0) != 0 && errno == ESRCH) rmdir(entry.path().c_str());
  }
}

}  // namespace

ControlGroup::~ControlGroup() {
  entrance_.reset();
  if (!folder_.empty()) rmdir(folder_.c_str());
}

ControlGroups::ControlGroups() : ControlGroups(own_folder()) {}

ControlGroups::ControlGroups(const std::string& own) {
  if (own.empty()) {
    fault_ = "no unified hierarchy (cgroup v2)";
    return;
  }
  const std::string parent = folder_for_groups(own);
  if (parent.empty()) {
    const std::string controllers = own + "/cgroup.controllers";
    const bool has = has_word(controllers, "memory") && has_word(controllers, "pids");
    fault_ = own + (has ? " is not writable, or its processes keep it from giving out controllers"
                        : " lacks the controllers memory and pids (cgroup v1 may hold them)");
    return;
  }
  parent_ = parent;
  remove_left_groups(parent);
  if (make(64LL << 20, 16).entrance() >= 0) return;
  fault_ = "no group can be made in " + parent + ": " + std::strerror(errno);
  parent_.clear();
}

ControlGroup ControlGroups::make(int64_t memory_bytes, int processes) const {
  ControlGroup group;
  if (parent_.empty()) return group;
  const std::string owner = std::to_string(reinterpret_cast<uintptr_t>(this));
  const std::string folder =
      parent_ + "/temper-" + std::to_string(getpid()) + "-" + owner + "-" + std::to_string(made_++);
  if (mkdir(folder.c_str(), 0755) != 0) return group;
  group.folder_ = folder;
  if (!write_value(folder + "/memory.max", std::to_string(memory_bytes)) ||
      !write_value(folder + "/pids.max", std::to_string(processes))) {
    return group;
  }
  write_value(folder + "/memory.swap.max", "0");
  write_value(folder + "/memory.oom.group", "1");
  group.entrance_ = Descriptor(open((folder + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  return group;
}

}  // namespace temper
