#include "reward/code/seccomp_filter.h"

#include <asm/ioctls.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

#include "core/error.h"
#include "reward/code/descriptor.h"

namespace temper {
namespace {

// Names that an architecture does not have are passed over.
constexpr const char* kAllowed[] = {
    // files, inside what the mount namespace shows
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "lseek",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "open",
    "openat",
    "creat",
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "statx",
    "statfs",
    "fstatfs",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents",
    "getdents64",
    "getcwd",
    "chdir",
    "fchdir",
    "mkdir",
    "mkdirat",
    "rmdir",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "truncate",
    "ftruncate",
    "fallocate",
    "chmod",
    "fchmod",
    "fchmodat",
    "utime",
    "utimes",
    "utimensat",
    "futimesat",
    "umask",
    "fsync",
    "fdatasync",
    "flock",
    "copy_file_range",
    "sendfile",
    "fadvise64",
    "readahead",
    "getxattr",
    "lgetxattr",
    "fgetxattr",
    "listxattr",
    "llistxattr",
    "flistxattr",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "eventfd",
    "eventfd2",
    // memory
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "brk",
    "msync",
    "mincore",
    "membarrier",
    // signals and clocks
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigsuspend",
    "sigaltstack",
    "pause",
    "kill",
    "tkill",
    "tgkill",
    "alarm",
    "setitimer",
    "getitimer",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "timer_getoverrun",
    "timer_delete",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "times",
    "restart_syscall",
    // the process itself
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "wait4",
    "waitid",
    "futex",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "set_tid_address",
    "rseq",
    "getpid",
    "getppid",
    "gettid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "getpgid",
    "getpgrp",
    "getsid",
    "setsid",
    "setpgid",
    "getrlimit",
    "setrlimit",
    "prlimit64",
    "getrusage",
    "sysinfo",
    "uname",
    "getcpu",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "getpriority",
    "getrandom",
    "arch_prctl",
};

// Known ways out. ENOSYS would do; EPERM tells a program that it was refused.
constexpr const char* kRefused[] = {
    "socket",
    "socketpair",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_open",
    "pidfd_getfd",
    "kcmp",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsmount",
    "mount_setattr",
    "unshare",
    "setns",
    "keyctl",
    "add_key",
    "request_key",
    "bpf",
    "userfaultfd",
    "perf_event_open",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "capset",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "mknod",
    "mknodat",
    "sethostname",
    "setdomainname",
    "seccomp",
    "open_by_handle_at",
    "name_to_handle_at",
    "init_module",
    "finit_module",
    "kexec_load",
    "reboot",
    "swapon",
    "acct",
    "quotactl",
    "syslog",
    "memfd_create",
    "shmget",
    "msgget",
    "semget",
    "mq_open",
};

// What sealing a child takes besides.
constexpr std::string_view kSealing[] = {
    "unshare", "setns",   "mount",   "umount2", "sethostname", "capset",      "seccomp",
    "prctl",   "recvmsg", "sendmsg", "sendto",  "pidfd_open",  "getsockname", "getsockopt",
};

constexpr unsigned kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                     CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), &seccomp_release) {
    if (!context_) throw SystemError("libseccomp cannot make a filter");
  }

  void add(uint32_t action, const char* name) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number < 0) return;
    checked(seccomp_rule_add(context_.get(), action, number, 0), name);
  }
  void add_if(uint32_t action, const char* name, const scmp_arg_cmp& argument) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number < 0) return;
    checked(seccomp_rule_add_array(context_.get(), action, number, 1, &argument), name);
  }
  void allow_if(const char* name, const scmp_arg_cmp& argument) {
    add_if(SCMP_ACT_ALLOW, name, argument);
  }

  std::vector<sock_filter> instructions() {
    // A tree over the numbers, not a list: each call then costs a few comparisons.
    checked(seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimising");
    PipeEnds pipe = make_pipe();
    checked(seccomp_export_bpf(context_.get(), pipe.write.get()), "exporting");
    pipe.write.reset();
    std::vector<sock_filter> program(4096);
    const ssize_t n = read(pipe.read.get(), program.data(), program.size() * sizeof program[0]);
    if (n <= 0 || n % static_cast<ssize_t>(sizeof program[0]) != 0) {
      throw SystemError("libseccomp: the filter cannot be read back");
    }
    program.resize(static_cast<size_t>(n) / sizeof program[0]);
    return program;
  }

 private:
  static void checked(int status, const char* what) {
    if (status < 0) throw SystemError("libseccomp: " + std::string(what) + " failed");
  }

  std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
};

}  // namespace

std::vector<sock_filter> system_call_filter(ProcessRights rights) {
  Filter filter;
  for (const char* name : kAllowed) filter.add(SCMP_ACT_ALLOW, name);
  const bool seals = rights == ProcessRights::sealing;
  for (const char* name : kRefused) {
    const bool taken =
        seals && std::find(std::begin(kSealing), std::end(kSealing), name) != std::end(kSealing);
    if (!taken) filter.add(SCMP_ACT_ERRNO(EPERM), name);
  }
  if (seals) {
    for (const std::string_view name : kSealing) filter.add(SCMP_ACT_ALLOW, name.data());
  }
  // clone3's flags are behind a pointer, where a filter cannot see them: the C library falls back
  // to clone when it is missing.
  if (rights != ProcessRights::threads) {
    filter.add(SCMP_ACT_ALLOW, "fork");
    filter.add(SCMP_ACT_ALLOW, "vfork");
    filter.allow_if("clone", SCMP_A0(SCMP_CMP_MASKED_EQ, kNamespaceFlags, 0));
  } else {
    filter.add(SCMP_ACT_ERRNO(EPERM), "fork");
    filter.add(SCMP_ACT_ERRNO(EPERM), "vfork");
    filter.add_if(SCMP_ACT_ERRNO(EPERM), "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    filter.allow_if("clone",
                    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | kNamespaceFlags, CLONE_THREAD));
  }
  for (const unsigned long request :
       {TCGETS, FIOCLEX, FIONCLEX, FIONREAD, FIONBIO, TIOCGWINSZ, TIOCGPGRP}) {
    filter.allow_if("ioctl", SCMP_A1(SCMP_CMP_EQ, request));
  }
  // Not PR_SET_PDEATHSIG: a program must not free itself from the death of its judge.
  for (const int option : {PR_SET_NAME, PR_GET_NAME, PR_CAPBSET_READ, PR_GET_DUMPABLE}) {
    if (!seals) filter.allow_if("prctl", SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(option)));
  }
  return filter.instructions();
}

}  // namespace temper
