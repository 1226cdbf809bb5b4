#include "core/thread_pool.h"

#include <atomic>
#include <chrono>
#include <stdexcept>

#include "tests/support/catch.h"

namespace temper {
namespace {

TEST_CASE("parallel_for covers every index once, thousands of times in a row", "[core]") {
  const int threads = GENERATE(1, 2, 5);
  ThreadPool pool(threads);
  std::vector<int> hits(37);
  for (int round = 0; round < 3000; ++round) {
    // Now and then the workers get time to fall asleep.
    if (round % 1000 == 999) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    pool.parallel_for(37, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
    });
  }
  CHECK(hits == std::vector<int>(37, 3000));
}

TEST_CASE("parallel_for keeps small work on the caller and runs nested calls serially", "[core]") {
  ThreadPool pool(3);
  int calls = 0;
  pool.parallel_for(10, 10,
                    [&](int64_t begin, int64_t end) { calls += static_cast<int>(end - begin); });
  CHECK(calls == 10);
  std::atomic<int> inner = 0;
  pool.parallel_for(3, 1, [&](int64_t, int64_t) {
    pool.parallel_for(5, 1,
                      [&](int64_t begin, int64_t end) { inner += static_cast<int>(end - begin); });
  });
  CHECK(inner == 15);
}

TEST_CASE("parallel_for hands on an exception of any thread, and goes on", "[core]") {
  ThreadPool pool(2);
  for (int64_t bad : {0, 1}) {
    CHECK_THROWS_AS(pool.parallel_for(2, 1,
                                      [bad](int64_t begin, int64_t) {
                                        if (begin == bad) throw std::runtime_error("bad");
                                      }),
                    std::runtime_error);
  }
  std::atomic<int> ran = 0;
  pool.parallel_for(2, 1, [&](int64_t, int64_t) { ++ran; });
  CHECK(ran == 2);
}

}  // namespace
}  // namespace temper
