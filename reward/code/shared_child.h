// Children that share this process's memory until they execute a program or exit: making one costs
// no copy of page tables, however large this process is. What runs in them makes system calls only:
// no allocation, no locks, no exceptions, none of the C library's calls that act on all threads.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstdint>
#include <string_view>
#include <vector>

#include "reward/code/descriptor.h"

namespace temper {

// The first thing that failed in a child.
struct ChildFault {
  const char* stage = nullptr;  // null: nothing
  int number = 0;               // errno

  // Keeps `name` and errno if `good` is false and nothing failed before; returns `good`.
  bool check(bool good, const char* name);
};

struct ChildProcess {
  pid_t pid = -1;
  int handle = -1;  // a pidfd, if the flags ask for one
};

// Clones the calling process with CLONE_VM, CLONE_VFORK and `flags`, on a stack of the caller's
// that ends at `stack_end`; returns when the child, which calls body(argument), has exited or
// executed. pid is -1 with errno set if that failed. May be called in a child.
ChildProcess clone_child(char* stack_end, int flags, int (*body)(void*), void* argument);

// Memory for the stacks of two children, one inside the other.
class ChildStacks {
 public:
  ChildStacks() : bytes_(2 * kBytes + kAlignment) {}

  char* outer() { return end_of(1); }
  char* inner() { return end_of(2); }

 private:
  static constexpr size_t kBytes = 64 << 10, kAlignment = 16;
  char* end_of(size_t stacks) {
    const auto end = reinterpret_cast<uintptr_t>(bytes_.data() + stacks * kBytes);
    return reinterpret_cast<char*>((end + kAlignment - 1) / kAlignment * kAlignment);
  }
  std::vector<char> bytes_;
};

// Blocks all signals of the calling thread while it lives, so that no handler runs in a child.
class SignalsBlocked {
 public:
  SignalsBlocked();
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// In a child: becomes the user nobody, without groups. `dumpable` is what this process was: the
// change of user would otherwise change it for the shared memory.
bool become_nobody(int dumpable);

// In a child: opens with `flags` in `folder` (AT_FDCWD: here), writes all of it and closes.
bool write_whole_file(int folder, const char* path, std::string_view content, int flags);

// Throws SystemError "<what>: <stage>: <reason>" if something failed.
void throw_if(const ChildFault& fault, const char* what);

}  // namespace temper
