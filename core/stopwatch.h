// Time that passed, by the clock that never jumps.
#pragma once

#include <chrono>

namespace temper {

// Seconds since some fixed moment in the past. Units: s.
inline double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Runs from its construction on.
class Stopwatch {
 public:
  double seconds() const { return steady_seconds() - start_; }
  // The seconds so far; starts again from zero.
  double lap() {
    const double now = steady_seconds(), passed = now - start_;
    start_ = now;
    return passed;
  }

 private:
  double start_ = steady_seconds();
};

}  // namespace temper
