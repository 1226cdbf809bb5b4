// The code judge: runs an answer against a task's tests and says which of them hold.
#pragma once

#include <memory>
#include <semaphore>
#include <string>
#include <vector>

#include "reward/code/checker.h"
#include "reward/code/compare_output.h"
#include "reward/code/extract_program.h"
#include "reward/code/run.h"
#include "reward/code/sandbox.h"
#include "reward/code/task.h"
#include "reward/code/warm_python.h"

namespace temper {

struct JudgeOptions {
  RunLimits limits = {};
  OutputComparison comparison = OutputComparison::lines;
  std::optional<double> tolerance = {};  // where the task says none
  bool all_tests = false;                // false: stop at the first test that does not hold
  bool site_packages = false;            // of Python
  bool warm = true;                      // programs in Python are forked from a started one
  int at_once = 2;                       // programs of one answer at once
  int programs = 2;                      // programs of all answers at once
  std::string python = "/usr/bin/python3", compiler = "/usr/bin/g++";
};

enum class TestStatus { held, failed, timeout, not_run };

struct JudgeResult {
  bool bad_tests = false;  // nobody could be judged by them; `reason` says why
  bool failed = false;     // the judge itself could not do its work; `reason` says why
  bool timeout = false;    // a test went over a limit of time
  int tests = 0, held = 0;
  std::string reason;  // of the first test that does not hold
};

// Thread-safe.
class CodeJudge {
 public:
  // The sandbox must outlive the judge.
  CodeJudge(const Sandbox& sandbox, const JudgeOptions& options);
  ~CodeJudge();
  CodeJudge(const CodeJudge&) = delete;
  CodeJudge& operator=(const CodeJudge&) = delete;

  // Why programs in Python each start an interpreter; empty if they do not.
  const std::string& cold_reason() const { return cold_reason_; }
  // Throws SystemError if a program cannot be started.
  JudgeResult judge(const CodeTask& task, const ExtractedProgram& program) const;

 private:
  JudgeResult judge_streams(const CodeTask& task, const ExtractedProgram& program) const;
  JudgeResult judge_calls(const CodeTask& task, const std::string& program) const;
  // The interpreter with its flags.
  std::vector<std::string> python_command() const;
  RunLimits python_limits() const;
  const ProgramStarter& python() const;

  const Sandbox& sandbox_;
  JudgeOptions options_;
  std::unique_ptr<const WarmPython> warm_;  // null: each program starts an interpreter
  std::unique_ptr<CheckerPool> checkers_;
  std::string cold_reason_;
  mutable std::counting_semaphore<> free_;  // places for programs
};

}  // namespace temper
