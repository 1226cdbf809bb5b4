#include "reward/code/judge.h"

#include <algorithm>

namespace temper {

CodeJudge::CodeJudge(const Sandbox& sandbox, const JudgeOptions& options)
    : sandbox_(sandbox),
      options_(options),
      checkers_(std::make_unique<CheckerPool>(sandbox, options.python, options.limits)),
      free_(std::max(1, options.programs)) {}

CodeJudge::~CodeJudge() = default;

JudgeResult CodeJudge::judge(const CodeTask& task, const ExtractedProgram& program) const {
  if (task.kind == CodeTask::Kind::streams) return judge_streams(task, program);
  if (program.language == CodeLanguage::cpp) {
    return {.tests = static_cast<int>(task.tests.size()),
            .reason = "the tests call Python, and the answer is C++"};
  }
  return judge_calls(task, program.text);
}

std::vector<std::string> CodeJudge::python_command(const std::string& file) const {
  std::vector<std::string> command = {options_.python, "-s", "-B"};
  if (!options_.site_packages) command.push_back("-S");
  command.push_back(file);
  return command;
}

}  // namespace temper
