// Counters on the GPU that are 0 between kernels, so that nobody has to make them so.
#pragma once

#include "core/cuda/runtime.h"

namespace temper::cuda {

// Who counts where. Kernels that run after one another may share a counter; each leaves it at 0.
enum class Counter { attention_tiles, attention_query_tiles, count };
static_assert(static_cast<size_t>(Counter::count) <= Runtime::kCounters);

inline unsigned* counter_of(Context& ctx, Counter which) {
  return runtime_of(ctx).counters + static_cast<size_t>(which);
}

}  // namespace temper::cuda
