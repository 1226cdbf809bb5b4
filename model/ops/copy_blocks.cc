#include "model/ops/copy_blocks.h"

#include "model/ops/check.h"
#include "model/ops/cpu/copy_blocks.h"
#include "model/ops/cuda/copy_blocks.h"

namespace temper {

void copy_blocks(Context& ctx, Tensor pool, Tensor pairs) {
  require(pool.rank == 3 && pool.contiguous(), "copy_blocks: pool is not a whole [L, B, n]");
  check_i32(pairs, "copy_blocks: pairs");
  require(pairs.rank == 2 && pairs.cols() == 2, "copy_blocks: pairs are not [P, 2]");
  switch (pool.device) {
    case Device::cpu:
      return cpu::copy_blocks(pool, pairs);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::copy_blocks(ctx, pool, pairs);
      no_backend();
  }
}

}  // namespace temper
