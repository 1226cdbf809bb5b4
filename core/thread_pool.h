// A fixed set of worker threads with a static division of work: which index runs in which part
// never depends on timing, so results keep their bits.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace temper {

class ThreadPool {
 public:
  // threads = 0 takes one a hardware core.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end) on disjoint ranges that cover [0, n), one a thread, and waits.
  // A range has at least `grain` indices, so small work stays on the calling thread.
  // An exception of a body is rethrown here. Not re-entrant: a body must not call parallel_for
  // of the same pool (it then runs serially).
  void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

 private:
  void work(int index);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_, done_;
  const std::function<void(int64_t, int64_t)>* body_ = nullptr;
  int64_t n_ = 0;
  int parts_ = 0, sleeping_ = 0;
  std::atomic<int> pending_ = 0;          // workers that have not finished the call
  std::atomic<uint64_t> generation_ = 0;  // counts calls; what a worker waits for
  std::atomic<bool> stop_ = false;
  std::exception_ptr error_;
};

}  // namespace temper
