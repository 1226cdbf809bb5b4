#include "core/thread_pool.h"

#include <algorithm>
#include <exception>

namespace temper {
namespace {

// True on a pool's worker and on a thread inside parallel_for: nested calls then run serially.
thread_local bool inside_parallel = false;

// Waits up to some 30 microseconds for `ready`, without the system's help: the next piece of work
// mostly comes sooner than a sleeping thread wakes.
template <class Ready>
bool spin_until(Ready ready) {
  constexpr int kSpins = 1500;
  for (int i = 0; i < kSpins; ++i) {
    if (ready()) return true;
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }
  return false;
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads <= 0) threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    ++generation_;
  }
  start_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::parallel_for(int64_t n, int64_t grain,
                              const std::function<void(int64_t, int64_t)>& body) {
  if (n <= 0) return;
  const int64_t most = std::max<int64_t>(1, n / std::max<int64_t>(1, grain));
  const int parts = static_cast<int>(std::min<int64_t>(size(), most));
  if (parts == 1 || inside_parallel) return body(0, n);
  {
    std::lock_guard lock(mutex_);
    body_ = &body;
    n_ = n;
    parts_ = parts;
    pending_ = static_cast<int>(workers_.size());
    error_ = nullptr;
    ++generation_;
    if (sleeping_ > 0) start_.notify_all();
  }
  inside_parallel = true;
  std::exception_ptr own_error;
  try {
    body(0, n / parts);
  } catch (...) {
    own_error = std::current_exception();
  }
  inside_parallel = false;
  if (!spin_until([this] { return pending_ == 0; })) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return pending_ == 0; });
  }
  if (own_error) std::rethrow_exception(own_error);
  if (error_) std::rethrow_exception(error_);
}

void ThreadPool::work(int index) {
  inside_parallel = true;
  uint64_t seen = 0;
  for (;;) {
    if (!spin_until([&] { return generation_ != seen; })) {
      std::unique_lock lock(mutex_);
      ++sleeping_;
      start_.wait(lock, [&] { return generation_ != seen; });
      --sleeping_;
    }
    seen = generation_;
    if (stop_) return;
    // Nothing of the call changes before pending_ is 0, so it is read without the lock.
    if (index < parts_) {
      try {
        (*body_)(n_ * index / parts_, n_ * (index + 1) / parts_);
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
      }
    }
    if (--pending_ == 0) {
      std::lock_guard lock(mutex_);  // or the caller could miss it between its look and its wait
      done_.notify_one();
    }
  }
}

}  // namespace temper
