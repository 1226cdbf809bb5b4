// A sealed place to run programs that nobody trusts: what a run may use, and how it is started.
//
// A sealed program is the first process of new user, mount, PID, IPC and UTS namespaces, in a
// network namespace without interfaces that all programs of a sandbox share; its root is read-only
// and holds /usr and the libraries, three devices, a made-up /etc/passwd and a private /tmp of
// limited size, no /proc and nothing of the user's; no network; a system-call allow-list; limits on
// CPU time, memory, files, threads; no privileges to gain. When it ends or is killed the kernel
// ends every process that it made.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reward/code/program.h"

namespace temper {

struct SandboxOptions {
  bool sealed = true;  // false: no namespaces and no other root; limits and the allow-list stay
  // Read-only parts of the machine that programs see besides /usr and the libraries.
  std::vector<std::string> folders = {};
};

// Thread-safe: one sandbox starts any number of programs. Starting costs no copy of this process's
// page tables, however large it is.
class Sandbox final : public ProgramStarter {
 public:
  // Throws SystemError naming the layer that this machine refuses.
  explicit Sandbox(const SandboxOptions& options);
  ~Sandbox() override;
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  bool sealed() const;
  // The first layer that this machine refuses with the kernel's reason, found by running a program
  // that does nothing; empty if all of them work.
  std::string fault() const;
  RunningProgram start(const SandboxProgram& program, const RunLimits& limits) const override;
  // A control group for a program with these limits; empty where there are none.
  ControlGroup make_group(const RunLimits& limits) const;

 private:
  struct Plan;
  std::unique_ptr<const Plan> plan_;
};

}  // namespace temper
