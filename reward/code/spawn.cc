#include "reward/code/spawn.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "reward/code/shared_child.h"

namespace temper {
namespace {

std::vector<char*> pointers_of(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// The children's work. A child joins the namespaces of the sandbox, in which it makes the
// program's process with namespaces of its own. Every step returns whether it was done.
class Spawner {
 public:
  explicit Spawner(const SpawnCall& call)
      : call_(call),
        plan_(call.plan),
        arguments_(pointers_of(call.program.arguments)),
        environment_(pointers_of(call.plan.environment)) {}

  SpawnedProcess spawn() {
    const SignalsBlocked blocked;
    if (plan_.sealed) {
      const ChildProcess between = clone_child(stacks_.outer(), CLONE_FILES, &outer, this);
      if (fault_.check(between.pid > 0, "a child process")) waitpid(between.pid, nullptr, __WALL);
    } else {
      process_ = clone_child(stacks_.inner(), CLONE_PIDFD, &inner, this);
      fault_.check(process_.pid > 0, "a child process");
    }
    SpawnedProcess spawned{process_.pid, Descriptor(process_.handle), init_.pid};
    if (fault_.stage != nullptr) {
      if (process_.pid > 0) waitpid(process_.pid, nullptr, __WALL);
      if (init_.pid > 0) end_init(init_.pid);
    }
    throw_if(fault_, "the sandbox cannot start a program");
    return spawned;
  }

 private:
  static int outer(void* self) {
    static_cast<Spawner*>(self)->join();
    return 0;
  }
  static int init(void* self) {
    static_cast<Spawner*>(self)->wait_for_ever();
    return 127;
  }
  static int inner(void* self) {
    static_cast<Spawner*>(self)->seal_and_execute();
    return 127;
  }

  void join() {
    if (plan_.step_down &&
        !fault_.check(become_nobody(plan_.dumpable), "stepping down from root")) {
      return;
    }
    if (!fault_.check(setns(plan_.root.users.get(), CLONE_NEWUSER) == 0, "user namespace") ||
        !fault_.check(setns(plan_.root.network.get(), CLONE_NEWNET) == 0, "network namespace") ||
        !fault_.check(setns(plan_.root.mounts.get(), CLONE_NEWNS) == 0, "mount namespace")) {
      return;
    }
    // What seals others is trusted, and outlives the thread that starts it, as no init would.
    int own = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
    if (seals_others()) {
      own |= CLONE_NEWPID;
    } else if (!start_init()) {
      return;
    }
    process_ = clone_child(stacks_.inner(), CLONE_PIDFD | CLONE_PARENT | own, &inner, this);
    fault_.check(process_.pid > 0, "user, mount, PID, IPC and UTS namespaces");
  }

  // The program is its sibling, in the same PID namespace, so the kernel tells this process itself
  // how the program ended.
  bool start_init() {
    if (!fault_.check(unshare(CLONE_NEWPID) == 0, "PID namespace")) return false;
    init_ = clone_child(stacks_.inner(), CLONE_PARENT, &init, this);
    return fault_.check(init_.pid > 0, "first process of a PID namespace") &&
           fault_.stage == nullptr;
  }

  void wait_for_ever() {
    constexpr unsigned kCloseOnExec = 1U << 2;  // CLOSE_RANGE_CLOEXEC
    char* const none[] = {nullptr};
    if (!reset_signals() || !die_with_the_judge()) return;
    signal(SIGCHLD, SIG_IGN);  // the kernel then buries what is left to it
    if (!fault_.check(syscall(SYS_close_range, 0, ~0U, kCloseOnExec) == 0, "closing files")) return;
    syscall(SYS_execveat, plan_.init.get(), "", none, none, AT_EMPTY_PATH);
    fault_.check(false, "executing the first process of a PID namespace");
  }

  void seal_and_execute() {
    if (!reset_signals() || !join_control_group()) return;
    if (!(plan_.sealed ? map_users() && make_private_folder() : enter_work_folder())) return;
    if (write_files() && limit() && give_up_rights() && place_descriptors() && filter()) execute();
  }

  // This process's handlers are code that the program will not have, and must not run here.
  bool reset_signals() {
    struct sigaction fresh {};
    fresh.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) sigaction(number, &fresh, nullptr);
    return fault_.check(setsid() >= 0, "session");
  }

  bool join_control_group() {
    return call_.entrance < 0 || fault_.check(write(call_.entrance, "0", 1) == 1, "control group");
  }

  // Only what seals others is root in its namespace: an exec leaves it its rights there.
  bool map_users() {
    const char* map = seals_others() ? "0 65534 1\n" : "65534 65534 1\n";
    return fault_.check(write_own("self/setgroups", "deny") && write_own("self/uid_map", map) &&
                            write_own("self/gid_map", map),
                        "own user namespace");
  }

  // Another thread's child that becomes nobody makes the shared memory undumpable for a moment, in
  // which these files belong to root: then again.
  bool write_own(const char* path, std::string_view content) {
    constexpr int kMostTries = 10000;
    for (int i = 0; i < kMostTries; ++i) {
      if (write_whole_file(plan_.proc_folder.get(), path, content, 0)) return true;
      if (errno != EACCES) return false;
      sched_yield();
    }
    return false;
  }

  bool make_private_folder() {
    return fault_.check(mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV,
                              call_.disk_options.c_str()) == 0 &&
                            chdir("/tmp") == 0,
                        "private folder") &&
           fault_.check(sethostname("sandbox", 7) == 0, "UTS namespace");
  }

  bool enter_work_folder() {
    return fault_.check(chdir(call_.work_folder.c_str()) == 0, "work folder");
  }

  bool write_files() {
    for (const ProgramFile& file : call_.program.files) {
      if (!fault_.check(
              write_whole_file(AT_FDCWD, file.name.c_str(), file.content, O_CREAT | O_EXCL),
              "files of the program")) {
        return false;
      }
    }
    return true;
  }

  bool limit() {
    for (const ResourceLimit& each : call_.limits) {
      const rlimit limit{static_cast<rlim_t>(each.value), static_cast<rlim_t>(each.value)};
      if (!fault_.check(setrlimit(static_cast<__rlimit_resource>(each.what), &limit) == 0,
                        "limits")) {
        return false;
      }
    }
    return true;
  }

  bool seals_others() const { return call_.program.rights == ProcessRights::sealing; }

  bool give_up_rights() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const __user_cap_data_struct none[2] = {};
    if (!fault_.check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges")) {
      return false;
    }
    // It sees by its channel that this process is gone, and outlives the thread that starts it.
    if (seals_others()) return true;
    return (!plan_.sealed ||
            fault_.check(syscall(SYS_capset, &header, none) == 0, "capabilities")) &&
           die_with_the_judge();
  }

  bool die_with_the_judge() {
    pollfd judge{plan_.own_process.get(), POLLIN, 0};
    return fault_.check(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0, "death signal") &&
           fault_.check(poll(&judge, 1, 0) == 0, "the judge is gone");
  }

  bool place_descriptors() {
    const auto& sources = call_.program.descriptors;
    int used = 0;
    for (int number = 0; number < kProgramDescriptors; ++number) {
      int source = sources[static_cast<size_t>(number)];
      if (source < 0 && number > 2) break;
      if (source < 0) source = open("/dev/null", O_RDWR | O_CLOEXEC);
      // The null device may have got the right number, but would then be closed by the exec.
      const bool good = source == number ? fcntl(number, F_SETFD, 0) == 0
                                         : source >= 0 && dup2(source, number) == number;
      if (!fault_.check(good, "descriptors")) return false;
      used = number + 1;
    }
    constexpr unsigned kCloseOnExec = 1U << 2;  // CLOSE_RANGE_CLOEXEC
    return fault_.check(syscall(SYS_close_range, used, ~0U, kCloseOnExec) == 0, "closing files");
  }

  bool filter() {
    const auto& instructions = plan_.filters[static_cast<size_t>(call_.program.rights)];
    const sock_fprog program{static_cast<unsigned short>(instructions.size()),
                             const_cast<sock_filter*>(instructions.data())};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    return fault_.check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0,
                        "system-call filter");
  }

  void execute() {
    if (call_.program.executable >= 0) {
      syscall(SYS_execveat, call_.program.executable, "", arguments_.data(), environment_.data(),
              AT_EMPTY_PATH);
    } else {
      execve(arguments_[0], arguments_.data(), environment_.data());
    }
    fault_.check(false, "executing the program");
  }

  const SpawnCall& call_;
  const SpawnPlan& plan_;
  std::vector<char*> arguments_, environment_;  // end with a null pointer
  ChildStacks stacks_;
  ChildFault fault_;
  ChildProcess process_, init_;
};

}  // namespace

SpawnedProcess spawn(const SpawnCall& call) {
  return Spawner(call).spawn();
}

void end_init(pid_t init) {
  kill(init, SIGKILL);
  while (waitpid(init, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

}  // namespace temper
