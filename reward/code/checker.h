// The trusted side of the assertion judge: long-lived Python processes that run tests, each in a
// sandbox of its own, and know nothing of an answer but the values it gave.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "reward/code/line_channel.h"
#include "reward/code/sandbox.h"

namespace temper {

// One checker process. Lines to it: J and a job, R and a value of the answer's, X and why there is
// none. Lines from it: C and a call, V and the verdict, G (the answer is gone), B and why the tests
// are unusable; D or E when the child that did the job has ended, well or not.
struct Checker {
  Checker(const Sandbox& sandbox, const std::string& python, const RunLimits& limits);

  LineChannel channel;
  RunningProgram program;
  bool finishing = false;  // the job has its verdict, and D or E is still to come
};

// Checkers that wait for work. Thread-safe.
class CheckerPool {
 public:
  CheckerPool(const Sandbox& sandbox, std::string python, const RunLimits& limits);

  // One that nobody else has and that is ready for a job; started if none waits, or if not to take
  // one that is `waiting`. Throws SystemError.
  std::unique_ptr<Checker> take(bool waiting);
  // Only a checker that has given its verdict may come back; others are destroyed, which ends them.
  void give_back(std::unique_ptr<Checker> checker);

 private:
  const Sandbox& sandbox_;
  std::string python_;
  RunLimits limits_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Checker>> waiting_;
};

}  // namespace temper
