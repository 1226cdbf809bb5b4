#include "model/ops/mla_attention.h"

#include "model/ops/check.h"
#include "model/ops/cuda/attention.h"
#include "model/ops/mla_heads.h"

namespace temper {
namespace {

struct Whole {
  Tensor q, k;  // [T, H, nope+rope], [Tk, H, nope+rope]
};

void check_mla(const Tensor& o, const MlaAttention& in) {
  check_alike({o, in.q, in.k_nope, in.k_rope, in.v});
  require(in.k_nope.rank == 3 && in.v.rank == 3, "mla_attention: k_nope and v are [T, H, .]");
  const int64_t tokens = in.k_nope.dim(0), heads = in.k_nope.dim(1), rope = in.k_rope.cols();
  check_rows_cols(in.k_rope, tokens, rope, "mla_attention: k_rope");
  check_shape(in.v, {tokens, heads, in.v.cols()}, "mla_attention: v");
  check_rows_cols(in.q, o.dim(0), heads * (in.k_nope.cols() + rope), "mla_attention: q");
  check_shape(o, {in.q.rows(), heads, in.v.cols()}, "mla_attention: o");
}

// Queries and keys as any attention takes them, in scratch where they are not so already.
Whole put_together(Context& ctx, const MlaAttention& in) {
  const int64_t heads = in.k_nope.dim(1), width = in.k_nope.cols() + in.k_rope.cols();
  const auto scratch = [&](const char* name, int64_t rows) {
    return ctx.scratch.tensor(name, in.q.dtype, {rows, heads, width});
  };
  Whole whole;
  if (in.q.contiguous()) {
    whole.q = in.q.reshape({in.q.rows(), heads, width});
  } else {
    whole.q = scratch("mla.q", in.q.rows());
    copy(ctx, whole.q.reshape({in.q.rows(), heads * width}), in.q);
  }
  whole.k = scratch("mla.k", in.k_nope.dim(0));
  mla_keys_forward(ctx, whole.k, in.k_nope, in.k_rope);
  return whole;
}

}  // namespace

void mla_attention_forward(Context& ctx, Tensor o, Tensor lse, const MlaAttention& in,
                           const AttentionShape& shape) {
  check_mla(o, in);
  if constexpr (kWithCuda)
    if (o.device == Device::cuda && cuda::mla_attention_forward(ctx, o, lse, in, shape)) return;
  ArenaScope scope(ctx.scratch);
  const Whole whole = put_together(ctx, in);
  attention_forward(ctx, o, lse, whole.q, whole.k, in.v, shape);
}

void mla_attention_backward(Context& ctx, const MlaAttentionGrads& grads, Tensor d_o,
                            const MlaAttentionSaved& saved, const AttentionShape& shape) {
  const MlaAttention& in = saved.in;
  check_mla(saved.o, in);
  check_rows_cols(grads.dq, in.q.rows(), in.q.cols(), "mla_attention: dq");
  check_shape(grads.dk_nope, {in.k_nope.dim(0), in.k_nope.dim(1), in.k_nope.cols()},
              "mla_attention: dk_nope");
  check_rows_cols(grads.dk_rope, in.k_rope.rows(), in.k_rope.cols(), "mla_attention: dk_rope");
  if constexpr (kWithCuda)
    if (d_o.device == Device::cuda && cuda::mla_attention_backward(ctx, grads, d_o, saved, shape))
      return;
  ArenaScope scope(ctx.scratch);
  const Whole whole = put_together(ctx, in);
  const auto like = [&](const char* name, const Tensor& t) {
    return ctx.scratch.tensor(name, t.dtype, {t.dim(0), t.dim(1), t.cols()});
  };
  const Tensor dturned = like("mla.dturned", whole.q), dk = like("mla.dk", whole.k);
  attention_backward(ctx, {fresh(dturned), fresh(dk), grads.dv}, d_o,
                     {whole.q, whole.k, in.v, saved.o, saved.lse}, shape);
  mla_heads_backward(ctx,
                     {dturned, dk, grads.dq, grads.dk_nope, grads.dk_rope, saved.cos, saved.sin});
}

}  // namespace temper
