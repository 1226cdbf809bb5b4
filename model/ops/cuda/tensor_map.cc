#include "model/ops/cuda/tensor_map.h"

#include "core/cuda/runtime.h"
#include "core/error.h"

namespace temper::cuda {
namespace {

using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                            const cuuint64_t*, const cuuint32_t*, const cuuint32_t*,
                            CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
                            CUtensorMapFloatOOBfill);

Encode encoder() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault,
                                         &result));
  if (result != cudaDriverEntryPointSuccess)
    throw SystemError("the NVIDIA driver is too old: it has no cuTensorMapEncodeTiled");
  return reinterpret_cast<Encode>(found);
}

}  // namespace

CUtensorMap make_map(const Tensor& t, MapExtent size, int box_cols, int box_rows, bool swizzled) {
  static const Encode encode = encoder();
  const int64_t width = t.dtype == DType::f32 ? 4 : 2;
  const auto u64 = [](int64_t n) { return static_cast<cuuint64_t>(n); };
  const auto u32 = [](int n) { return static_cast<cuuint32_t>(n); };
  const int rank = size.layers > 0 ? 3 : 2;
  const cuuint64_t dims[3] = {u64(size.cols), u64(size.rows), u64(size.layers)};
  const cuuint64_t strides[2] = {u64(t.row_stride * width), u64(size.rows * t.row_stride * width)};
  const cuuint32_t box[3] = {u32(box_cols), u32(box_rows), 1}, ones[3] = {1, 1, 1};
  CUtensorMap map;
  const CUresult status =
      encode(&map, width == 4 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
             u32(rank), t.data, dims, strides, box, ones, CU_TENSOR_MAP_INTERLEAVE_NONE,
             swizzled ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  require(status == CUDA_SUCCESS, "the driver refused a tensor map");
  return map;
}

}  // namespace temper::cuda
