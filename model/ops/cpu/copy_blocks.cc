#include "model/ops/cpu/copy_blocks.h"

#include <cstring>

namespace temper::cpu {

void copy_blocks(Tensor pool, Tensor pairs) {
  const size_t bytes = static_cast<size_t>(pool.cols()) * size_of(pool.dtype);
  for (int64_t l = 0; l < pool.dim(0); ++l) {
    char* layer = static_cast<char*>(pool.data) + static_cast<size_t>(l * pool.dim(1)) * bytes;
    for (int64_t p = 0; p < pairs.rows(); ++p) {
      const int32_t* pair = pairs.row<int32_t>(p);
      std::memcpy(layer + static_cast<size_t>(pair[1]) * bytes,
                  layer + static_cast<size_t>(pair[0]) * bytes, bytes);
    }
  }
}

}  // namespace temper::cpu
