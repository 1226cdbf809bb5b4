// Tests of the standard output: compile once, run each test in a fresh sandbox, compare here.
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "core/error.h"
#include "reward/code/compiler.h"
#include "reward/code/judge.h"
#include "reward/code/place.h"

namespace temper {
namespace {

struct TestResult {
  TestStatus status = TestStatus::not_run;
  std::string reason;
};

// Calls body(i) for i in [0, n) on up to `threads` threads, this one among them, until it returns
// false. An exception of a body is rethrown here.
template <class Body>
void run_at_once(size_t n, int threads, const Body& body) {
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    try {
      for (size_t i = next++; i < n && !stop; i = next++) {
        if (!body(i)) stop = true;
      }
    } catch (...) {
      stop = true;
      const std::lock_guard lock(mutex);
      error = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    for (int t = 1; t < threads && t < static_cast<int>(n); ++t) others.emplace_back(work);
    work();
  }
  if (error) std::rethrow_exception(error);
}

JudgeResult summary_of(const std::vector<TestResult>& results) {
  JudgeResult summary;
  summary.tests = static_cast<int>(results.size());
  for (size_t i = 0; i < results.size(); ++i) {
    const TestResult& result = results[i];
    summary.held += result.status == TestStatus::held ? 1 : 0;
    summary.timeout = summary.timeout || result.status == TestStatus::timeout;
    const bool bad = result.status == TestStatus::failed || result.status == TestStatus::timeout;
    if (bad && summary.reason.empty()) {
      summary.reason = "test " + std::to_string(i + 1) + " of " + std::to_string(results.size()) +
                       ": " + result.reason;
    }
  }
  return summary;
}

TestResult compare(const RunResult& run, const std::string& expected, OutputComparison comparison,
                   std::optional<double> tolerance) {
  if (run.outcome == RunOutcome::timeout) return {TestStatus::timeout, failure_of(run)};
  const std::string failure = failure_of(run);
  if (!failure.empty()) return {TestStatus::failed, failure};
  const auto difference = difference_of(run.output, expected, comparison, tolerance);
  if (difference) return {TestStatus::failed, *difference};
  return {TestStatus::held, ""};
}

}  // namespace

JudgeResult CodeJudge::judge_streams(const CodeTask& task, const ExtractedProgram& answer) const {
  SandboxProgram program;
  CompiledProgram compiled;
  const ProgramStarter* starter = &sandbox_;
  RunLimits limits = options_.limits;
  if (answer.language == CodeLanguage::cpp) {
    if (access(options_.compiler.c_str(), X_OK) != 0) {
      return {.failed = true, .reason = "there is no C++ compiler " + options_.compiler};
    }
    const Place place(free_);
    compiled = compile_cpp(sandbox_, options_.compiler, answer.text);
    if (compiled.executable.get() < 0) {
      return {.timeout = compiled.timeout,
              .tests = static_cast<int>(task.streams.size()),
              .reason = compiled.fault};
    }
    program.arguments = {"./main"};
    program.executable = compiled.executable.get();
  } else {
    starter = &python();
    limits = python_limits();
    program.arguments = python_command();
    program.arguments.push_back("main.py");
    program.files = {{"main.py", answer.text}};
  }
  const std::optional<double> tolerance = task.tolerance ? task.tolerance : options_.tolerance;
  std::vector<TestResult> results(task.streams.size());
  run_at_once(results.size(), options_.at_once, [&](size_t i) {
    const StreamTest& test = task.streams[i];
    const Place place(free_);
    const RunResult run = run_to_end(*starter, program, test.input, limits);
    results[i] = compare(run, test.output, options_.comparison, tolerance);
    return results[i].status == TestStatus::held || options_.all_tests;
  });
  return summary_of(results);
}

}  // namespace temper
