#include "model/ops/cuda/grouped_launch.h"

#include "core/device.h"

namespace temper::cuda::grouped {
namespace {

bool aligned(const Tensor& t) {
  const int64_t pack = t.dtype == DType::f32 ? 4 : 8;
  return reinterpret_cast<uintptr_t>(t.data) % 16 == 0 && t.row_stride % pack == 0 &&
         t.cols() % 8 == 0 && t.rows() < (int64_t{1} << 31) - kTileRows * 2;
}

}  // namespace

bool fits_tiles(const Context& ctx, std::initializer_list<Tensor> tensors, int64_t groups) {
  const DType dtype = tensors.begin()->dtype;
  bool fits = ctx.cuda->properties.major == 9 && groups <= kMaxGroups &&
              (dtype == DType::bf16 || dtype == DType::f16);
  int index = 0;
  for (const Tensor& t : tensors) fits = fits && aligned(t) && (index++ > 1 || t.dtype == dtype);
  return fits;
}

}  // namespace temper::cuda::grouped
