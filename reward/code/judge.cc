#include "reward/code/judge.h"

#include <algorithm>

namespace temper {

CodeJudge::CodeJudge(const Sandbox& sandbox, const JudgeOptions& options)
    : sandbox_(sandbox),
      options_(options),
      checkers_(std::make_unique<CheckerPool>(sandbox, options.python, options.limits)),
      free_(std::max(1, options.programs)) {
  if (!options.warm) {
    cold_reason_ = "by request";
  } else if (!sandbox.sealed()) {
    cold_reason_ = "the sandbox is not sealed";
  } else {
    warm_ = std::make_unique<const WarmPython>(sandbox, python_command(), python_limits());
    cold_reason_ = warm_->fault();
    if (!cold_reason_.empty()) warm_.reset();
  }
}

CodeJudge::~CodeJudge() = default;

JudgeResult CodeJudge::judge(const CodeTask& task, const ExtractedProgram& program) const {
  if (task.kind == CodeTask::Kind::streams) return judge_streams(task, program);
  if (program.language == CodeLanguage::cpp) {
    return {.tests = static_cast<int>(task.tests.size()),
            .reason = "the tests call Python, and the answer is C++"};
  }
  return judge_calls(task, program.text);
}

RunLimits CodeJudge::python_limits() const {
  // The usual stack, which every thread reserves: recursion in Python takes none of it.
  RunLimits limits = options_.limits;
  limits.stack_bytes = 8LL << 20;
  return limits;
}

std::vector<std::string> CodeJudge::python_command() const {
  std::vector<std::string> command = {options_.python, "-s", "-B"};
  if (!options_.site_packages) command.push_back("-S");
  return command;
}

const ProgramStarter& CodeJudge::python() const {
  if (warm_) return *warm_;
  return sandbox_;
}

}  // namespace temper
