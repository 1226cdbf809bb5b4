#include "model/ops/cuda/attention.h"

#include <type_traits>

#include "core/device.h"
#include "model/ops/cuda/attention_kernels.h"
#include "model/ops/cuda/following.h"
#include "model/ops/cuda/mla_heads.h"
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

// delta[t, h] = do[t, h] . o[t, h], by kLanes threads each that take kPack numbers at a time; a
// thread has kRows of them under way.
constexpr int kRows = 4;
template <int kPack, int kLanes, class T>
__global__ void row_dots(Rows<T> a, Rows<T> b, float* out) {
  follow();
  constexpr int kAtOnce = kThreads / kLanes;
  const int64_t first = int64_t{blockIdx.x} * kAtOnce * kRows + threadIdx.x / kLanes;
  const int lane = threadIdx.x % kLanes;
  float sum[kRows] = {};
  for (int64_t j = lane; j < a.cols / kPack; j += kLanes)
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t row = first + r * kAtOnce;
      if (row >= a.rows) continue;
      const Pack<T, kPack> x = pack_at<kPack>(a.row(row), j), y = pack_at<kPack>(b.row(row), j);
#pragma unroll
      for (int e = 0; e < kPack; ++e) sum[r] += to_float(x.at[e]) * to_float(y.at[e]);
    }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2)
      sum[r] += __shfl_xor_sync(0xffffffffU, sum[r], offset);
    const int64_t row = first + r * kAtOnce;
    if (lane == 0 && row < a.rows) out[row] = sum[r];
  }
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

namespace {

// Into delta; the dots of kernels that take rows 16 bytes at a time where these allow it.
template <class T>
void dots_of_rows(Context& ctx, const Tensor& d_o, const Tensor& o, float* delta) {
  const Rows<T> a = rows_of<T>(d_o), b = rows_of<T>(o);
  dispatch_pack<T>({a, b}, [&]<int kPack>() {
    const bool short_rows = a.cols <= 8 * kPack;
    const int64_t rows_of_block = kThreads / (short_rows ? 8 : 16) * kRows;
    launch_following(ctx, short_rows ? row_dots<kPack, 8, T> : row_dots<kPack, 16, T>,
                     {blocks_for(a.rows, rows_of_block), kThreads}, a, b, delta);
  });
}

float* make_delta(Context& ctx, const Tensor& d_o) {
  return data_of<float>(
      ctx.scratch.tensor("attention.delta", DType::f32, {d_o.dim(0), d_o.dim(1)}));
}

}  // namespace

void attention_backward(Context& ctx, const AttentionGrads& grads, Tensor d_o,
                        const AttentionSaved& saved, const AttentionShape& shape) {
  if (d_o.rows() == 0) return;  // then the gradients have no rows either
  ArenaScope scope(ctx.scratch);
  float* delta = make_delta(ctx, d_o);
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
    dots_of_rows<T>(ctx, d_o, saved.o, delta);
    if constexpr (kIsNarrow<T>)
      if (launch_backward_hopper(ctx, args, shape.sequences)) return;
    for (const Grad& grad : {grads.dq, grads.dk, grads.dv}) to_add(ctx, grad);
    launch_backward(ctx, args, shape.sequences);
  });
}

namespace {

// The key that all heads share as one head of [T, rope].
template <class T>
Heads<T> shared_head(const Tensor& k_rope) {
  return Heads<T>(k_rope, 1);
}

}  // namespace

bool mla_attention_forward(Context& ctx, Tensor o, Tensor lse, const MlaAttention& in,
                           const AttentionShape& shape) {
  if (stat_dtype(o.dtype) == o.dtype) return false;
  if (in.q.empty()) return true;
  return dispatch_narrow(o.dtype, [&]<class T>() {
    const AttentionForward<T> args{Heads<T>(o),
                                   Heads<T>(in.q, in.k_nope.dim(1)),
                                   Heads<T>(in.k_nope),
                                   Heads<T>(in.v),
                                   data_of<float>(lse),
                                   lse.row_stride,
                                   table_of(shape.sequences, shape.of_keys()),
                                   in.k_nope.dim(0),
                                   static_cast<float>(shape.scale),
                                   shared_head<T>(in.k_rope)};
    return launch_forward_hopper(ctx, args, shape.sequences);
  });
}

bool mla_attention_backward(Context& ctx, const MlaAttentionGrads& grads, Tensor d_o,
                            const MlaAttentionSaved& saved, const AttentionShape& shape) {
  const MlaAttention& in = saved.in;
  if (d_o.rows() == 0 || stat_dtype(d_o.dtype) == d_o.dtype) return false;
  ArenaScope scope(ctx.scratch);
  const int64_t heads = in.k_nope.dim(1);
  return dispatch_narrow(d_o.dtype, [&]<class T>() {
    float* delta = make_delta(ctx, d_o);
    const Tensor parts = ctx.scratch.tensor(
        "mla.dk_rope", d_o.dtype, {in.k_rope.rows(), heads, in.k_rope.cols()});  // [T, H, rope]
    if (!grads.dk_nope.fresh) fill_zero(ctx, parts);  // then all of dk is added to what is there
    AttentionBackward<T> args{Heads<T>(grads.dq, heads),
                              Heads<T>(grads.dk_nope),
                              Heads<T>(grads.dv),
                              Heads<T>(d_o),
                              Heads<T>(in.q, heads),
                              Heads<T>(in.k_nope),
                              Heads<T>(in.v),
                              data_of<float>(saved.lse),
                              saved.lse.row_stride,
                              delta,
                              table_of(shape.sequences, shape.sequences),
                              static_cast<float>(shape.scale),
                              grads.dq.fresh,
                              grads.dk_nope.fresh,
                              grads.dv.fresh};
    args.k_shared = shared_head<T>(in.k_rope), args.dk_shared = Heads<T>(parts);
    args.cos = rows_of<float>(saved.cos), args.sin = rows_of<float>(saved.sin);
    dots_of_rows<T>(ctx, d_o, saved.o, delta);
    if (!launch_backward_hopper(ctx, args, shape.sequences)) return false;
    mla_shared_keys_backward(ctx, grads.dk_rope, parts, saved.cos, saved.sin);
    return true;
  });
}

}  // namespace temper::cuda
