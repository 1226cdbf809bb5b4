// Which system calls a judged program may make: an allow-list, as a filter for the kernel.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace temper {

enum class ProcessRights {
  threads,    // of its own; no process can be made, so nothing can outlive the program
  processes,  // as well: for compilers and for Temper's own trusted checker
  sealing,    // as well, and namespaces and mounts: for Temper's own interpreter that seals others
};
constexpr int kProcessRights = 3;

// The filter's instructions. What is not on the list fails with ENOSYS; what would leave the
// sandbox (sockets, ptrace, mounts, namespaces, keys, bpf, io_uring, other processes' memory)
// fails with EPERM. Throws SystemError.
std::vector<sock_filter> system_call_filter(ProcessRights rights);

}  // namespace temper
