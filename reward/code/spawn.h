// Starting one program of a sandbox: what is done between the clone and the exec.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <array>
#include <string>
#include <vector>

#include "reward/code/program.h"
#include "reward/code/sealed_root.h"

namespace temper {

// What is the same for all programs of a sandbox.
struct SpawnPlan {
  bool sealed = true;
  bool step_down = false;  // become nobody first: where this process is root
  SealedRoot root;         // of a sealed sandbox
  std::array<std::vector<sock_filter>, kProcessRights> filters;  // by ProcessRights
  std::vector<std::string> environment;
  int dumpable = 1;        // what this process is (become_nobody)
  Descriptor own_process;  // a handle of this process, to notice that it died
  Descriptor proc_folder;  // the machine's /proc, to map users from where it is not mounted
  Descriptor init;         // of a sealed sandbox: the first process of a program's PID namespace
};

// One start. What the child needs is made before the clone.
struct SpawnCall {
  const SpawnPlan& plan;
  const SandboxProgram& program;
  std::vector<ResourceLimit> limits = {};
  std::string disk_options = {};  // of the private folder's tmpfs
  std::string work_folder = {};   // of an unsealed program
  int entrance = -1;              // of its control group
};

struct SpawnedProcess {
  pid_t pid = -1;
  Descriptor handle;  // a pidfd
  // The first process of its namespace, killed and waited for after the program; -1: the program
  // is that itself (what seals others), or is unsealed.
  pid_t init = -1;
};

// Starts the program; returns when it is executing. Throws SystemError naming the stage that
// failed; no process is then left.
SpawnedProcess spawn(const SpawnCall& call);

// Ends the first process of a namespace and all that is left in it. The program must have been
// waited for: the kernel ends the first process when no other is left.
void end_init(pid_t init);

}  // namespace temper
