#include "reward/code/shared_child.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "core/error.h"

namespace temper {

bool ChildFault::check(bool good, const char* name) {
  if (!good && stage == nullptr) {
    stage = name;
    number = errno;
  }
  return good;
}

ChildProcess clone_child(char* stack_end, int flags, int (*body)(void*), void* argument) {
  // No signal at the end, so that no other wait of this process takes the child's status.
  constexpr int kSharedMemory = CLONE_VM | CLONE_VFORK;
  ChildProcess child;
  child.pid =
      clone(body, stack_end, kSharedMemory | flags, argument, &child.handle, nullptr, nullptr);
  return child;
}

SignalsBlocked::SignalsBlocked() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() {
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

bool become_nobody(int dumpable) {
  constexpr int kNobody = 65534;
  // The raw calls: the C library's would change the user of every thread of this process.
  const bool done = syscall(SYS_setgroups, 0, nullptr) == 0 &&
                    syscall(SYS_setresgid, kNobody, kNobody, kNobody) == 0 &&
                    syscall(SYS_setresuid, kNobody, kNobody, kNobody) == 0;
  prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0);
  return done;
}

bool write_whole_file(int folder, const char* path, std::string_view content, int flags) {
  const int file = openat(folder, path, O_WRONLY | O_CLOEXEC | flags, 0644);
  if (file < 0) return false;
  bool good = true;
  while (good && !content.empty()) {
    const ssize_t n = write(file, content.data(), content.size());
    good = n > 0;
    if (good) content.remove_prefix(static_cast<size_t>(n));
  }
  return close(file) == 0 && good;
}

void throw_if(const ChildFault& fault, const char* what) {
  if (fault.stage == nullptr) return;
  throw SystemError(std::string(what) + ": " + fault.stage + ": " + std::strerror(fault.number));
}

}  // namespace temper
