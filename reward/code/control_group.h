// A control group (cgroup v2) for one program, where this process may make them.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "reward/code/descriptor.h"

namespace temper {

// A group of its own with limits on memory and on the number of processes. Move-only; empty where
// the machine does not let us make one. Destroying it removes it; its processes must have ended.
class ControlGroup {
 public:
  ControlGroup() = default;
  ~ControlGroup();
  ControlGroup(ControlGroup&& other) noexcept
      : entrance_(std::move(other.entrance_)), folder_(std::exchange(other.folder_, "")) {}
  ControlGroup& operator=(ControlGroup&&) = delete;

  // The open file that a process writes "0" to in order to join; -1 for the empty group.
  int entrance() const { return entrance_.get(); }

 private:
  friend class ControlGroups;
  Descriptor entrance_;
  std::string folder_;
};

// Where groups can be made: this process's own group, if it is in a unified hierarchy, may be
// written, and has the controllers `memory` and `pids` for its children.
class ControlGroups {
 public:
  ControlGroups();
  // The same below `own`, the folder of this process's group; "" if there is no such hierarchy.
  explicit ControlGroups(const std::string& own);

  bool available() const { return !parent_.empty(); }
  // Why not, for people; empty where they are available.
  const std::string& fault() const { return fault_; }
  // A new group, or the empty one. The kernel ends what goes over `memory_bytes`.
  ControlGroup make(int64_t memory_bytes, int processes) const;

 private:
  std::string parent_, fault_;
  mutable std::atomic<uint64_t> made_ = 0;
};

}  // namespace temper
