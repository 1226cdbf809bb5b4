#include "model/ops/cuda/attention.h"

#include <type_traits>

#include "model/ops/cuda/attention_kernels.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32;

SequenceTable table_of(const Sequences& sequences) {
  require(sequences.on_device.numel() == sequences.count() + 1,
          "attention: the sequences are not on the GPU");
  return {data_of<int32_t>(sequences.on_device), static_cast<int>(sequences.count())};
}

// delta[t, h] = do[t, h] . o[t, h], a warp each.
template <class T>
__global__ void row_dots(Heads<T> a, Heads<T> b, int64_t count, float* out) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (row >= count) return;
  const T *x = a.data + row * a.stride, *y = b.data + row * b.stride;
  float sum = 0.0F;
  for (int j = threadIdx.x % 32; j < a.dim; j += 32) sum += to_float(x[j]) * to_float(y[j]);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) out[row] = sum;
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
                                   table_of(shape.sequences),
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
                                    table_of(shape.sequences),
                                    static_cast<float>(shape.scale),
                                    grads.dq.fresh,
                                    grads.dk.fresh,
                                    grads.dv.fresh};
    row_dots<T><<<blocks_for(rows, kWarps), kThreads, 0, stream_of(ctx)>>>(
        args.d_o, Heads<T>(saved.o), rows, delta);
    check_launch();
    if constexpr (std::is_same_v<T, bf16>)
      if (launch_backward_hopper(ctx, args, shape.sequences)) return;
    for (const Grad& grad : {grads.dq, grads.dk, grads.dv}) to_add(ctx, grad);
    launch_backward(ctx, args, shape.sequences);
  });
}

}  // namespace temper::cuda
