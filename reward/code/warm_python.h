// Python that has started already. The start of an interpreter takes more of the processor than
// most answers do; here one is started once, sealed, and forks a child for each program.
//
// What a program gets is what a fresh interpreter's start would give it: namespaces, a private
// folder, limits, rights and the system-call list of its own, of which nothing is left afterwards.
// The interpreter that forks never sees a program's text, input or output: it passes on open
// files, which its child reads in a user namespace of its own, and runs when it is sealed. No
// memory is shared but copy-on-write, no descriptor is kept, and its parent's process is in another
// PID namespace, which the child cannot name.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "reward/code/program.h"
#include "reward/code/sandbox.h"

namespace temper {

// Thread-safe. As many interpreters run as programs at once; each waits for its child.
class WarmPython final : public ProgramStarter {
 public:
  // `command`: the interpreter and its flags; `most`: no program will have higher limits. The
  // sandbox must be sealed and outlive this.
  WarmPython(const Sandbox& sandbox, std::vector<std::string> command, const RunLimits& most);
  ~WarmPython() override;

  // Why programs cannot be started so here, found by running one that does nothing; empty if they
  // can.
  std::string fault() const;
  // files[0] is the program; arguments are not looked at.
  RunningProgram start(const SandboxProgram& program, const RunLimits& limits) const override;

 private:
  class Interpreter;
  class Child;
  struct Pool;

  const Sandbox& sandbox_;
  std::vector<std::string> command_;
  RunLimits most_;
  std::shared_ptr<Pool> pool_;  // shared with the children, which come back to it
};

}  // namespace temper
