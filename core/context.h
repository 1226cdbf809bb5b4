// What every op gets first: where to compute, with which threads or stream, on which scratch
// memory.
#pragma once

#include <memory>

#include "core/arena.h"
#include "core/thread_pool.h"

namespace temper {

namespace cuda {
class Runtime;  // core/cuda/runtime.h: stream, cuBLASLt, plans
}

struct Context {
  // Throws UserError for Device::cuda where this build or this machine has no GPU.
  explicit Context(int threads = 0, Device device = Device::cpu);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  ThreadPool pool;
  Device device;  // where weights, activations and scratch lie
  Arena scratch;  // temporaries inside one op or layer; always used under an ArenaScope
  std::unique_ptr<cuda::Runtime> cuda;  // null on the CPU
};

}  // namespace temper
