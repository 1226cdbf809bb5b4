#include "model/ops/cuda/tensor_map.h"

#include <algorithm>

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

CUtensorMapDataType type_of(DType dtype) {
  if (dtype == DType::f32) return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  return dtype == DType::f16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
}

}  // namespace

CUtensorMap tensor_map(void* data, DType dtype, std::initializer_list<int64_t> dims,
                       std::initializer_list<int64_t> strides, std::initializer_list<int> box,
                       bool swizzled) {
  static const Encode encode = encoder();
  require(dims.size() == box.size() && dims.size() == strides.size() + 1 && dims.size() <= 5,
          "a tensor map's dimensions do not fit together");
  cuuint64_t sizes[5] = {}, steps[5] = {};
  cuuint32_t boxes[5] = {}, ones[5] = {1, 1, 1, 1, 1};
  std::copy(dims.begin(), dims.end(), sizes);
  std::copy(strides.begin(), strides.end(), steps);
  std::copy(box.begin(), box.end(), boxes);
  CUtensorMap map;
  const CUresult status =
      encode(&map, type_of(dtype), static_cast<cuuint32_t>(dims.size()), data, sizes, steps, boxes,
             ones, CU_TENSOR_MAP_INTERLEAVE_NONE,
             swizzled ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  require(status == CUDA_SUCCESS, "the driver refused a tensor map");
  return map;
}

CUtensorMap make_map(const Tensor& t, MapExtent size, int box_cols, int box_rows, bool swizzled) {
  const int64_t row = t.row_stride * static_cast<int64_t>(size_of(t.dtype));
  if (size.layers == 0)
    return tensor_map(t.data, t.dtype, {size.cols, size.rows}, {row}, {box_cols, box_rows},
                      swizzled);
  return tensor_map(t.data, t.dtype, {size.cols, size.rows, size.layers}, {row, size.rows * row},
                    {box_cols, box_rows, 1}, swizzled);
}

}  // namespace temper::cuda
