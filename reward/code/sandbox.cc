#include "reward/code/sandbox.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include "core/error.h"
#include "core/temporary_folder.h"
#include "reward/code/init_program.h"
#include "reward/code/spawn.h"

namespace temper {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<SpawnPlan> make_plan(const SandboxOptions& options, bool step_down) {
  auto plan = std::make_unique<SpawnPlan>();
  plan->sealed = options.sealed;
  plan->step_down = step_down;
  plan->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
  if (options.sealed) {
    plan->root = make_sealed_root(plan_root(options.folders), step_down, plan->dumpable);
    plan->proc_folder = Descriptor(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (plan->proc_folder.get() < 0) throw_errno("opening /proc");
    plan->init = sealed_memory_file(init_program());
  }
  for (const auto rights :
       {ProcessRights::threads, ProcessRights::processes, ProcessRights::sealing}) {
    plan->filters[static_cast<size_t>(rights)] = system_call_filter(rights);
  }
  plan->environment = {"PATH=/usr/local/bin:/usr/bin:/bin",
                       "HOME=/tmp",
                       "LANG=C.UTF-8",
                       "LC_ALL=C.UTF-8",
                       "TZ=UTC",
                       "PYTHONHASHSEED=0",  // a verdict must not depend on the order of a set
                       "PYTHONDONTWRITEBYTECODE=1",
                       "MALLOC_ARENA_MAX=1",  // each takes 64 MiB of the address space
                       "OPENBLAS_NUM_THREADS=1",
                       "OMP_NUM_THREADS=1"};
  if (options.sealed) plan->environment.push_back("TMPDIR=/tmp");
  plan->own_process = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (plan->own_process.get() < 0) throw_errno("opening a handle of this process");
  return plan;
}

// A program of which this process is the parent.
class OwnChild final : public ProgramParent {
 public:
  // `folder`: of an unsealed program, removed at the end; else empty.
  OwnChild(pid_t pid, pid_t init, std::string folder)
      : pid_(pid), init_(init), folder_(std::move(folder)) {}

  ProgramEnd reap() override {
    // An unsealed program leads a session of its own; what it started and left is ended here,
    // while its own number is still taken. A sealed one's is ended with its namespace's init.
    if (!folder_.empty()) ::kill(-pid_, SIGKILL);
    int status = 0;
    rusage usage{};
    while (wait4(pid_, &status, __WALL, &usage) < 0 && errno == EINTR) {
    }
    if (init_ > 0) end_init(init_);
    if (!folder_.empty()) {
      std::error_code ignored;
      fs::remove_all(folder_, ignored);
    }
    ProgramEnd end;
    end.exited = WIFEXITED(status);
    end.code = end.exited ? WEXITSTATUS(status) : WTERMSIG(status);
    end.cpu_microseconds = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL +
                           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    end.peak_bytes = usage.ru_maxrss * 1024LL;
    return end;
  }

 private:
  pid_t pid_, init_;
  std::string folder_;
};

}  // namespace

struct Sandbox::Plan {
  explicit Plan(std::unique_ptr<const SpawnPlan> plan) : spawn(std::move(plan)) {}
  std::unique_ptr<const SpawnPlan> spawn;
  ControlGroups groups;
};

Sandbox::Sandbox(const SandboxOptions& options) {
  const bool is_root = geteuid() == 0;
  try {
    plan_ = std::make_unique<const Plan>(make_plan(options, is_root));
  } catch (const SystemError&) {
    if (!is_root || !options.sealed) throw;
    // Some systems let only root make user namespaces: then the program's user is root outside,
    // with no rights there.
    plan_ = std::make_unique<const Plan>(make_plan(options, false));
  }
}

Sandbox::~Sandbox() = default;

bool Sandbox::sealed() const {
  return plan_->spawn->sealed;
}

std::string Sandbox::fault() const {
  try {
    const ProgramEnd end = start({.arguments = {"/usr/bin/true"}}, {}).wait();
    if (end.exited && end.code == 0) return "";
    return std::string("a program that does nothing ") +
           (end.exited ? "exits with " : "gets signal ") + std::to_string(end.code);
  } catch (const SystemError& failure) {
    return failure.what();
  }
}

ControlGroup Sandbox::make_group(const RunLimits& limits) const {
  return plan_->groups.make(limits.memory_bytes + limits.disk_bytes, limits.threads);
}

RunningProgram Sandbox::start(const SandboxProgram& program, const RunLimits& limits) const {
  const SpawnPlan& plan = *plan_->spawn;
  ControlGroup group = make_group(limits);
  std::string folder = plan.sealed ? "" : make_temporary_folder("temper-code").string();
  const SpawnCall call{
      plan,   program,         resource_limits(limits, plan.sealed), private_folder_options(limits),
      folder, group.entrance()};
  SpawnedProcess process = spawn(call);
  return {std::move(process.handle), std::move(group),
          std::make_unique<OwnChild>(process.pid, process.init, std::move(folder))};
}

}  // namespace temper
