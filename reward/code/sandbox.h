// A sealed place to run programs that nobody trusts: what a run may use, and how it is started.
//
// A sealed program is the first process of new user, mount, PID, IPC and UTS namespaces, in a
// network namespace without interfaces that all programs of a sandbox share; its root is read-only
// and holds /usr and the libraries, three devices, a made-up /etc/passwd and a private /tmp of
// limited size, no /proc and nothing of the user's; no network; a system-call allow-list; limits on
// CPU time, memory, files, threads; no privileges to gain. When it ends or is killed the kernel
// ends every process that it made.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reward/code/control_group.h"
#include "reward/code/descriptor.h"
#include "reward/code/seccomp_filter.h"

namespace temper {

struct RunLimits {
  double cpu_seconds = 5.0;            // of the whole program, rounded up to whole seconds
  double wall_seconds = 15.0;          // kept by the judge's clock
  int64_t memory_bytes = 512LL << 20;  // address space, and of the control group if there is one
  int64_t disk_bytes = 64LL << 20;     // of the private folder
  int64_t output_bytes = 16LL << 20;   // of the standard output
  int threads = 64;
};

struct ProgramFile {
  std::string name;  // in the private folder, which is also where the program starts
  std::string_view content;
};

constexpr int kProgramDescriptors = 5;

struct SandboxProgram {
  std::vector<std::string> arguments;  // [0]: the path of the executable in the sandbox
  int executable = -1;                 // run this open file instead; -1: arguments[0]
  std::vector<ProgramFile> files = {};
  // What the program finds as its descriptors 0 to 4; -1: the null device (0 to 2), or none.
  std::array<int, kProgramDescriptors> descriptors = {-1, -1, -1, -1, -1};
  ProcessRights rights = ProcessRights::threads;
};

// How a program ended.
struct ProgramEnd {
  bool exited = false;  // by itself; else a signal ended it
  int code = 0;         // of the exit, or the signal's number
  int64_t cpu_microseconds = 0;
  int64_t peak_bytes = 0;  // resident
};

// A started program. Move-only; destroying it kills the program and all that it started.
class RunningProgram {
 public:
  RunningProgram(pid_t pid, Descriptor handle, ControlGroup group, std::string folder);
  ~RunningProgram();
  RunningProgram(RunningProgram&&) noexcept;
  RunningProgram& operator=(RunningProgram&&) = delete;

  // Becomes readable when the program and all that it started have ended.
  int handle() const { return handle_.get(); }
  void kill();
  // Waits for the end. To be called once.
  ProgramEnd wait();

 private:
  pid_t pid_;
  Descriptor handle_;
  ControlGroup group_;
  std::string folder_;  // of an unsealed program, removed at the end; else empty
};

struct SandboxOptions {
  bool sealed = true;  // false: no namespaces and no other root; limits and the allow-list stay
  // Read-only parts of the machine that programs see besides /usr and the libraries.
  std::vector<std::string> folders = {};
};

// Thread-safe: one sandbox starts any number of programs. Starting costs no copy of this process's
// page tables, however large it is.
class Sandbox {
 public:
  // Throws SystemError naming the layer that this machine refuses.
  explicit Sandbox(const SandboxOptions& options);
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  bool sealed() const;
  // The first layer that this machine refuses with the kernel's reason, found by running a program
  // that does nothing; empty if all of them work.
  std::string fault() const;
  // Starts the program. Throws SystemError naming the layer that failed.
  RunningProgram start(const SandboxProgram& program, const RunLimits& limits) const;

 private:
  struct Plan;
  std::unique_ptr<const Plan> plan_;
};

}  // namespace temper
