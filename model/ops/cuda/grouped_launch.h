// The host's side of the tiled products on Hopper: maps for the copy engine, and the launch.
#pragma once

#include <initializer_list>

#include "model/ops/cuda/grouped_tiles.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/tensor_map.h"
#include "model/ops/picked_rows.h"

namespace temper::cuda::grouped {

// The left operand of a product of rows, and the matrices [E, N, K] (or one [N, K]) on its right.
inline CUtensorMap rows_map(const Tensor& a) {
  return make_map(a, {a.cols(), a.rows(), 0}, kLine, kTileRows, true);
}
inline CUtensorMap weights_map(const Tensor& w, Kind kind) {
  const int64_t groups = w.rank == 3 ? w.dim(0) : 1;
  return make_map(w, {w.cols(), w.rows() / groups, groups}, kLine,
                  is_forward(kind) ? kTileCols / 2 : kLine, true);
}

// What of a left operand is picked.
inline Picking picking_of(const PickedRows& rows) {
  if (!rows.picked()) return {};
  return {.from = static_cast<const uint16_t*>(rows.from.data),
          .index = data_of<int32_t>(rows.index),
          .stride = static_cast<unsigned>(rows.from.row_stride / 8),
          .rows = static_cast<int>(rows.rows()),
          .cols = static_cast<int>(rows.cols())};
}

// Whether the card and the tensors (factors alike of 16 bits first, then the result) allow it.
bool fits_tiles(const Context& ctx, std::initializer_list<Tensor> tensors, int64_t groups = 1);

// Starts a kernel (a, b, p, extra...) whose body is run_tiles<kKind>.
template <Kind kKind, class... Extra>
void launch_tiles(Context& ctx, void (*kernel)(CUtensorMap, CUtensorMap, Problem, Extra...),
                  const CUtensorMap& a, const CUtensorMap& b, const Problem& p,
                  const Extra&... extra) {
  constexpr int kPair = pair_size(kKind);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes));
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {kPair, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = static_cast<unsigned>(ctx.cuda->properties.multiProcessorCount / kPair * kPair);
  config.blockDim = kThreads;
  config.dynamicSmemBytes = kSharedBytes;
  config.stream = stream_of(ctx);
  config.attrs = &attribute;
  config.numAttrs = 1;
  check(cudaLaunchKernelEx(&config, kernel, a, b, p, extra...));
}

}  // namespace temper::cuda::grouped
