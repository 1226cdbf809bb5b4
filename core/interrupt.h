// A request to stop, set by a signal handler or another thread and polled by long work.
#pragma once

#include <atomic>

namespace temper {

// Long stages poll requested() at each step boundary and, when it is true, commit the last whole
// step and return. Setting it is safe inside a signal handler.
class Interrupt {
 public:
  bool requested() const {
    watch();
    return requested_.load(std::memory_order_relaxed);
  }
  void request() { requested_.store(true, std::memory_order_relaxed); }
  // Says that somebody will ask. Work that never does (a query, a conversion) must be ended.
  void watch() const { watched_.store(true, std::memory_order_relaxed); }
  bool watched() const { return watched_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> requested_{false};
  mutable std::atomic<bool> watched_{false};
  static_assert(std::atomic<bool>::is_always_lock_free);
};

}  // namespace temper
