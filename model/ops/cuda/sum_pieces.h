// One sum over many pieces of memory.
#pragma once

#include <cstdint>
#include <vector>

#include "core/context.h"

namespace temper::cuda {

// `count` numbers on the GPU, or their squares. Aliasing: data aligned to 16 bytes.
struct Piece {
  const float* data;
  int64_t count;
  bool squared;
};

// The sum of all pieces in f64, in an order of its own. Waits for it.
double sum_pieces(Context& ctx, const std::vector<Piece>& pieces);

}  // namespace temper::cuda
