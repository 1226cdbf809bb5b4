// The host's side of the tiled products on Hopper: maps for the copy engine, and the launch.
#pragma once

#include <initializer_list>

#include "model/ops/cuda/grouped_tiles.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/tensor_map.h"

namespace temper::cuda::grouped {

// The left operand of a product of rows, and the matrices [E, N, K] (or one [N, K]) on its right.
inline CUtensorMap rows_map(const Tensor& a) {
  return make_map(a, {a.cols(), a.rows(), 0}, kLine, kTileRows, true);
}
inline CUtensorMap weights_map(const Tensor& w, Kind kind) {
  const int64_t groups = w.rank == 3 ? w.dim(0) : 1;
  return make_map(w, {w.cols(), w.rows() / groups, groups}, kLine,
                  kind == Kind::forward ? kTileCols / 2 : kLine, true);
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
