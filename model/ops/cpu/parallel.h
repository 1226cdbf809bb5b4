// How the CPU kernels use the thread pool.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "core/context.h"

namespace temper::cpu {

// Calls body(begin, end) over [0, n) with at least `cost` elementary operations a thread, where one
// index costs about `cost_each`.
template <class Body>
void parallel_rows(Context& ctx, int64_t n, int64_t cost_each, Body&& body) {
  constexpr int64_t kSmallestShare = 16384;
  ctx.pool.parallel_for(n, std::max<int64_t>(1, kSmallestShare / std::max<int64_t>(1, cost_each)),
                        body);
}

// Calls body(slot) for slot 0 .. slots-1, each on one thread.
template <class Body>
void parallel_slots(Context& ctx, int64_t slots, Body&& body) {
  ctx.pool.parallel_for(slots, 1, [&](int64_t begin, int64_t end) {
    for (int64_t slot = begin; slot < end; ++slot) body(slot);
  });
}

// Calls body(slot, task) for every task 0 .. tasks-1, the next free thread taking the next task.
// slot < min(tasks, threads) names the thread's scratch memory. Results must not depend on the
// slot.
template <class Body>
void parallel_tasks(Context& ctx, int64_t tasks, Body&& body) {
  std::atomic<int64_t> next{0};
  parallel_slots(ctx, std::min<int64_t>(tasks, ctx.pool.size()), [&](int64_t slot) {
    for (int64_t task = next++; task < tasks; task = next++) body(slot, task);
  });
}

}  // namespace temper::cpu
