#include "reward/code/checker.h"

#include <poll.h>

#include <algorithm>

#include "reward/code/run.h"
#include "reward/code/scripts.h"

namespace temper {
namespace {

constexpr size_t kLongestLine = 8 << 20;
constexpr double kSecondsToFinish = 5.0;

// A checker serves many jobs; the judge keeps the time of each by its clock.
RunLimits limits_of_checker(RunLimits limits) {
  limits.cpu_seconds = 7 * 24 * 3600;
  limits.memory_bytes = std::max<int64_t>(limits.memory_bytes, 1LL << 30);
  return limits;
}

RunningProgram start_checker(const Sandbox& sandbox, const std::string& python, int channel,
                             const RunLimits& limits) {
  SandboxProgram program{.arguments = {python, "-s", "-S", "-B", "checker.py"}};
  const std::string script = checker_script();
  program.files = {{"checker.py", script}};
  program.descriptors = {-1, -1, -1, channel, channel};
  program.rights = ProcessRights::processes;
  return sandbox.start(program, limits_of_checker(limits));
}

// Whether the checker is alive and its last job has ended well. It ends with the thread that
// started it, which may have been another one.
bool ready(Checker& checker) {
  pollfd ended{checker.program.handle(), POLLIN, 0};
  if (poll(&ended, 1, 0) != 0) return false;
  if (!checker.finishing) return true;
  std::string line;
  const LineStatus status = checker.channel.receive(line, deadline_after(kSecondsToFinish));
  checker.finishing = false;
  return status == LineStatus::line && line == "D";
}

}  // namespace

Checker::Checker(const Sandbox& sandbox, const std::string& python, const RunLimits& limits)
    : channel(kLongestLine), program(start_checker(sandbox, python, channel.far_end(), limits)) {
  channel.close_far_end();
}

CheckerPool::CheckerPool(const Sandbox& sandbox, std::string python, const RunLimits& limits)
    : sandbox_(sandbox), python_(std::move(python)), limits_(limits) {}

std::unique_ptr<Checker> CheckerPool::take(bool waiting) {
  while (waiting) {
    std::unique_ptr<Checker> checker;
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.empty()) break;
      checker = std::move(waiting_.back());
      waiting_.pop_back();
    }
    if (ready(*checker)) return checker;
  }
  return std::make_unique<Checker>(sandbox_, python_, limits_);
}

void CheckerPool::give_back(std::unique_ptr<Checker> checker) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(checker));
}

}  // namespace temper
