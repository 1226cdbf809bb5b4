// What every op gets first: where to compute, with which threads, on which scratch memory.
#pragma once

#include "core/arena.h"
#include "core/thread_pool.h"

namespace temper {

struct Context {
  explicit Context(int threads = 0) : pool(threads) {}

  ThreadPool pool;
  Arena scratch;  // temporaries inside one op or layer; always used under an ArenaScope
};

}  // namespace temper
