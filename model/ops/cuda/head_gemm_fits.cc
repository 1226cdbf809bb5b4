#include "model/ops/cuda/grouped_launch.h"
#include "model/ops/cuda/head_gemm_hopper.h"

namespace temper::cuda {

bool head_fits_hopper(const Context& ctx, const Tensor& hidden, const Tensor& lm_head) {
  return grouped::fits_tiles(ctx, {hidden, lm_head}) && lm_head.rows() % 8 == 0 &&
         lm_head.row_stride == lm_head.cols();
}

}  // namespace temper::cuda
