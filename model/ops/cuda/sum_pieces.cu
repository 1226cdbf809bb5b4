#include "model/ops/cuda/sum_pieces.h"

#include <algorithm>

#include "core/device.h"
#include "model/ops/cuda/block_double.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 256, kPack = 4, kMost = 64;
constexpr unsigned kBlocks = 512;  // of a piece

struct Pieces {
  Piece at[kMost];
};

// Block (b, p) takes packs b * kThreads + thread of piece p, then every kBlocks * kThreads further;
// a pack is added in float, all else in double.
__global__ void __launch_bounds__(kThreads) piece_kernel(double* parts, const Pieces pieces) {
  const Piece piece = pieces.at[blockIdx.y];
  const int64_t whole = piece.count / kPack, first = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  double sum = 0.0;
#pragma unroll 4
  for (int64_t i = first; i < whole; i += int64_t{kBlocks} * kThreads) {
    const auto x = load_pack<kPack>(piece.data + i * kPack);
    float part = 0.0F;
#pragma unroll
    for (int e = 0; e < kPack; ++e) part += piece.squared ? x.at[e] * x.at[e] : x.at[e];
    sum += part;
  }
  if (first < piece.count % kPack) {
    const float x = piece.data[whole * kPack + first];
    sum += piece.squared ? x * x : x;
  }
  sum = block_sum_double(sum);
  if (threadIdx.x == 0) parts[blockIdx.y * kBlocks + blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    join_kernel(double* total, const double* parts, int64_t n) {
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) sum += parts[i];
  sum = block_sum_double(sum);
  if (threadIdx.x == 0) *total = sum;
}

}  // namespace

double sum_pieces(Context& ctx, const std::vector<Piece>& pieces) {
  ArenaScope scope(ctx.scratch);
  const auto count = static_cast<int64_t>(pieces.size());
  const Tensor parts = ctx.scratch.tensor("sum.parts", DType::f64, {count, kBlocks});
  const Tensor total = ctx.scratch.tensor("sum.total", DType::f64, {1});
  for (int64_t begin = 0; begin < count; begin += kMost) {
    const auto n = std::min<int64_t>(kMost, count - begin);
    Pieces some{};
    std::copy_n(pieces.begin() + begin, n, some.at);
    piece_kernel<<<dim3(kBlocks, static_cast<unsigned>(n)), kThreads, 0, stream_of(ctx)>>>(
        data_of<double>(parts) + begin * kBlocks, some);
    check_launch();
  }
  join_kernel<<<1, kThreads, 0, stream_of(ctx)>>>(data_of<double>(total), data_of<double>(parts),
                                                  count * kBlocks);
  check_launch();
  return download_doubles(ctx, total).front();
}

}  // namespace temper::cuda
