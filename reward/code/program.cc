#include "reward/code/program.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>

#include "core/error.h"

namespace temper {

std::vector<ResourceLimit> resource_limits(const RunLimits& limits, bool sealed) {
  constexpr int64_t kFiles = 64;
  std::vector<ResourceLimit> all = {
      {RLIMIT_CPU, std::llround(std::ceil(limits.cpu_seconds))},
      {RLIMIT_AS, limits.memory_bytes},
      {RLIMIT_STACK, std::min(limits.stack_bytes, limits.memory_bytes / 2)},
      {RLIMIT_FSIZE, limits.disk_bytes},
      {RLIMIT_NOFILE, kFiles},
      {RLIMIT_CORE, 0},
      {RLIMIT_MEMLOCK, 0},
      {RLIMIT_MSGQUEUE, 0},
  };
  if (sealed) all.push_back({RLIMIT_NPROC, limits.threads});
  return all;
}

std::string private_folder_options(const RunLimits& limits) {
  return "size=" + std::to_string(limits.disk_bytes) + ",nr_inodes=4096,mode=1777";
}

RunningProgram::RunningProgram(Descriptor handle, ControlGroup group,
                               std::unique_ptr<ProgramParent> parent)
    : handle_(std::move(handle)), group_(std::move(group)), parent_(std::move(parent)) {}

RunningProgram::~RunningProgram() {
  if (!parent_) return;
  kill();
  try {
    wait();
  } catch (const SystemError&) {  // it has ended; nobody asked how
  }
}

void RunningProgram::kill() {
  syscall(SYS_pidfd_send_signal, handle_.get(), SIGKILL, nullptr, 0);
}

ProgramEnd RunningProgram::wait() {
  pollfd ended{handle_.get(), POLLIN, 0};
  while (poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
  const std::unique_ptr<ProgramParent> parent = std::move(parent_);
  return parent->reap();
}

}  // namespace temper
