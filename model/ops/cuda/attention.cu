#include "model/ops/cuda/attention.h"

#include <type_traits>

#include "model/ops/cuda/attention_kernels.h"
#include "model/ops/cuda/narrow.h"
#include "model/ops/cuda/pack.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128;

SequenceTable table_of(const Sequences& sequences, const Sequences& keys) {
  for (const Sequences* s : {&sequences, &keys})
    require(s->on_device.numel() == s->count() + 1, "attention: the sequences are not on the GPU");
  return {data_of<int32_t>(sequences.on_device), static_cast<int>(sequences.count()),
          data_of<int32_t>(keys.on_device)};
}

// delta[t, h] = do[t, h] . o[t, h], by kLanes threads each that take kPack numbers at a time.
constexpr int kLanes = 16;
template <int kPack, class T>
__global__ void row_dots(Rows<T> a, Rows<T> b, float* out) {
  const int64_t row = (int64_t{blockIdx.x} * kThreads + threadIdx.x) / kLanes;
  const int lane = threadIdx.x % kLanes;
  float sum = 0.0F;
  if (row < a.rows)
    for (int64_t j = lane; j < a.cols / kPack; j += kLanes) {
      const Pack<T, kPack> x = pack_at<kPack>(a.row(row), j), y = pack_at<kPack>(b.row(row), j);
#pragma unroll
      for (int e = 0; e < kPack; ++e) sum += to_float(x.at[e]) * to_float(y.at[e]);
    }
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2)
    sum += __shfl_xor_sync(0xffffffffU, sum, offset);
  if (lane == 0 && row < a.rows) out[row] = sum;
}

}  // namespace

void attention_forward(Context& ctx, Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v,
                       const AttentionShape& shape) {
  if (q.dim(0) == 0) return;
  dispatch(o.dtype, [&]<class T>() {
    const AttentionForward<T> args{Heads<T>(o),
                                   Heads<T>(q),
                                   Heads<T>(k),
                                   Heads<T>(v),
                                   data_of<float>(lse),
                                   lse.row_stride,
                                   table_of(shape.sequences, shape.of_keys()),
                                   k.dim(0),
                                   static_cast<float>(shape.scale)};
    launch_forward(ctx, args, shape.sequences);
  });
}

void attention_backward(Context& ctx, const AttentionGrads& grads, Tensor d_o,
                        const AttentionSaved& saved, const AttentionShape& shape) {
  const int64_t rows = d_o.rows();
  if (rows == 0) return;  // then the gradients have no rows either
  ArenaScope scope(ctx.scratch);
  float* delta =
      data_of<float>(ctx.scratch.tensor("attention.delta", DType::f32, {d_o.dim(0), d_o.dim(1)}));
  dispatch(d_o.dtype, [&]<class T>() {
    const AttentionBackward<T> args{Heads<T>(grads.dq),
                                    Heads<T>(grads.dk),
                                    Heads<T>(grads.dv),
                                    Heads<T>(d_o),
                                    Heads<T>(saved.q),
                                    Heads<T>(saved.k),
                                    Heads<T>(saved.v),
                                    data_of<float>(saved.lse),
                                    saved.lse.row_stride,
                                    delta,
                                    table_of(shape.sequences, shape.sequences),
                                    static_cast<float>(shape.scale),
                                    grads.dq.fresh,
                                    grads.dk.fresh,
                                    grads.dv.fresh};
    const Rows<T> dots_of[] = {rows_of<T>(d_o), rows_of<T>(saved.o)};
    dispatch_pack<T>({dots_of[0], dots_of[1]}, [&]<int kPack>() {
      row_dots<kPack><<<blocks_for(rows, kThreads / kLanes), kThreads, 0, stream_of(ctx)>>>(
          dots_of[0], dots_of[1], delta);
    });
    check_launch();
    if constexpr (kIsNarrow<T>)
      if (launch_backward_hopper(ctx, args, shape.sequences)) return;
    for (const Grad& grad : {grads.dq, grads.dk, grads.dv}) to_add(ctx, grad);
    launch_backward(ctx, args, shape.sequences);
  });
}

}  // namespace temper::cuda
