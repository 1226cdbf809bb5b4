// How long one sample may still take. A rule that waits for what other samples hold stops the clock
// meanwhile: the wait is not the sample's fault.
#pragma once

#include <chrono>
#include <mutex>

namespace temper {

// Thread-safe.
class SampleClock {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Nothing is late before start().
  explicit SampleClock(double seconds) : seconds_(seconds) {}

  // Begins, from now; after a stop too, with the whole time again.
  void start() {
    const std::lock_guard lock(mutex_);
    end_ = std::chrono::steady_clock::now() +
           std::chrono::duration_cast<std::chrono::steady_clock::duration>(
               std::chrono::duration<double>(seconds_));
  }
  void stop() {
    const std::lock_guard lock(mutex_);
    end_ = Time::max();
  }
  // Time::max() while it does not run.
  Time end() const {
    const std::lock_guard lock(mutex_);
    return end_;
  }
  double seconds_left() const {
    const Time end = this->end();
    if (end == Time::max()) return seconds_;
    return std::chrono::duration<double>(end - std::chrono::steady_clock::now()).count();
  }
  double seconds() const { return seconds_; }

 private:
  const double seconds_;
  mutable std::mutex mutex_;
  Time end_ = Time::max();
};

}  // namespace temper
