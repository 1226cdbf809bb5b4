// A program that the code judge runs: what it may use, how it is started, watched and ended.
#pragma once

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
  int64_t stack_bytes = 64LL << 20;  // of the first thread; of others what they ask for, or as much
  int threads = 64;
};

// A limit as setrlimit takes it, soft and hard alike.
struct ResourceLimit {
  int what;
  int64_t value;
};

// The limits that the kernel keeps for a process. Threads are counted for the user namespace, so
// they are limited only where the program has one (`sealed`).
std::vector<ResourceLimit> resource_limits(const RunLimits& limits, bool sealed);

// Options of the file system that is a sealed program's private folder.
std::string private_folder_options(const RunLimits& limits);

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

// Who learns from the kernel how a program ended.
class ProgramParent {
 public:
  virtual ~ProgramParent() = default;
  // To be called once, after the program has ended. Throws SystemError if nobody knows any more.
  virtual ProgramEnd reap() = 0;
};

// A started program. Move-only; destroying it kills the program and all that it started.
class RunningProgram {
 public:
  RunningProgram(Descriptor handle, ControlGroup group, std::unique_ptr<ProgramParent> parent);
  ~RunningProgram();
  RunningProgram(RunningProgram&&) noexcept = default;
  RunningProgram& operator=(RunningProgram&&) = delete;

  // Becomes readable when the program has ended; wait() then ends all that it started.
  int handle() const { return handle_.get(); }
  void kill();
  // Waits for the end. To be called once. Throws SystemError if it cannot be known.
  ProgramEnd wait();

 private:
  Descriptor handle_;  // a pidfd
  ControlGroup group_;
  std::unique_ptr<ProgramParent> parent_;  // null: waited for
};

// What programs can be started with. Thread-safe.
class ProgramStarter {
 public:
  virtual ~ProgramStarter() = default;
  // Throws SystemError naming the layer that failed.
  virtual RunningProgram start(const SandboxProgram& program, const RunLimits& limits) const = 0;
};

}  // namespace temper
