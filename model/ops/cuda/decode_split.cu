#include "model/ops/cuda/decode_split.h"

#include "model/ops/cuda/following.h"
#include "model/ops/cuda/mma.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128;

// A warp a row and head.
template <class T>
__global__ void __launch_bounds__(kThreads)
    merge_rows(Rows<T> o, Parts parts, const int32_t* lengths, int heads, Split split) {
  follow();
  const int64_t i = int64_t{blockIdx.x} * (kThreads / 32) + threadIdx.x / 32;
  if (i >= o.rows) return;
  const int64_t row = i / heads, head = i % heads;
  const int count = chunks_of(lengths[row], split.chunk);
  if (count <= 1) return;
  const int64_t first = row * split.most * heads + head;
  float top = -INFINITY;
  for (int c = 0; c < count; ++c) top = fmaxf(top, parts.lse[first + int64_t{c} * heads]);
  for (int64_t j = threadIdx.x % 32 * 4; j < o.cols; j += 128) {
    float sum = 0.0F;
    float4 mean = make_float4(0.0F, 0.0F, 0.0F, 0.0F);
    for (int c = 0; c < count; ++c) {
      const int64_t at = first + int64_t{c} * heads;
      const float weight = exp2_fast(parts.lse[at] - top);
      const float4 part = *reinterpret_cast<const float4*>(parts.o + at * o.cols + j);
      sum += weight;
      mean.x += weight * part.x, mean.y += weight * part.y;
      mean.z += weight * part.z, mean.w += weight * part.w;
    }
    *reinterpret_cast<uint2*>(o.row(i) + j) = make_uint2(pack_pair<T>(mean.x / sum, mean.y / sum),
                                                         pack_pair<T>(mean.z / sum, mean.w / sum));
  }
}

}  // namespace

void merge_parts(Context& ctx, const Tensor& o, const Parts& parts, const PagedRows& rows,
                 const Split& split) {
  const LaunchShape shape{blocks_for(o.rows(), kThreads / 32), kThreads};
  dispatch_narrow(o.dtype, [&]<class T>() {
    launch_following(ctx, merge_rows<T>, shape, rows_of<T>(o), parts,
                     data_of<int32_t>(rows.context_length), static_cast<int>(o.dim(1)), split);
  });
}

}  // namespace temper::cuda
