#include "model/ops/mla_attention.h"

#include "model/ops/mla_heads.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Layout;
using test::on_each;
using test::Sides;
using test::Tensors;

constexpr DType f = DType::f32;

TEST_CASE("cuda: the heads of latent attention and their gradients are the CPU's", "[ops][cuda]") {
  on_each(2e-6, 8e-3, [](Sides& s, double bound) {
    struct Size {
      int64_t heads, nope, rope;
    };
    for (const Size& z : {Size{1, 1, 2}, {3, 6, 4}, {5, 7, 6}, {8, 128, 64}}) {
      CAPTURE(z.heads, z.nope, z.rope);
      const int64_t tokens = 23, width = z.nope + z.rope;
      const Tensor q = s.normal({tokens, z.heads * width});
      const Tensor k_nope = s.normal({tokens, z.heads, z.nope});
      const Tensor k_rope = s.normal({tokens, z.rope});
      const Tensor turned = s.make.poisoned(f, {tokens, z.rope});
      const Tensor k = s.make.poisoned(f, {tokens, z.heads, width});
      const Tensor cos = s.make.normal(f, {tokens, z.rope / 2});
      const Tensor sin = s.make.normal(f, {tokens, z.rope / 2});
      const Tensor gpu_q = s.up(q), gpu_k = s.poisoned(k), gpu_nope = s.up(k_nope);
      const Tensor gpu_rope = s.up(k_rope), gpu_turned = s.poisoned(turned);
      const Tensor gpu_cos = s.wide(cos), gpu_sin = s.wide(sin);
      mla_rope_forward(s.host, {q, turned, k_rope, cos, sin, z.heads});
      mla_rope_forward(s.ctx, {gpu_q, gpu_turned, gpu_rope, gpu_cos, gpu_sin, z.heads});
      CHECK(s.off(gpu_q, q) < bound);
      CHECK(s.off(gpu_turned, turned) < bound);
      mla_keys_forward(s.host, k, k_nope, turned);
      mla_keys_forward(s.ctx, gpu_k, gpu_nope, gpu_turned);
      CHECK(s.off(gpu_k, k) < bound);

      const Tensor dturned = s.normal({tokens, z.heads, width}), gpu_dturned = s.up(dturned);
      const Tensor dk = s.normal({tokens, z.heads, width}), gpu_dk = s.up(dk);
      mla_heads_backward(s.host, {dturned, dk, q, k_nope, k_rope, cos, sin});
      mla_heads_backward(s.ctx, {gpu_dturned, gpu_dk, gpu_q, gpu_nope, gpu_rope, gpu_cos, gpu_sin});
      CHECK(s.off(gpu_q, q) < bound);
      CHECK(s.off(gpu_nope, k_nope) < bound);
      CHECK(s.off(gpu_rope, k_rope) < bound);
      const Tensor new_q = s.poisoned(q), new_nope = s.poisoned(k_nope),
                   new_rope = s.poisoned(k_rope);
      mla_heads_backward(s.host, {dturned, dk, fresh(q), fresh(k_nope), fresh(k_rope), cos, sin});
      mla_heads_backward(s.ctx, {gpu_dturned, gpu_dk, fresh(new_q), fresh(new_nope),
                                 fresh(new_rope), gpu_cos, gpu_sin});
      CHECK(s.off(new_q, q) < bound);
      CHECK(s.off(new_nope, k_nope) < bound);
      CHECK(s.off(new_rope, k_rope) < bound);
    }
  });
}

struct Case {
  std::vector<int32_t> cu;
  int64_t heads, nope, rope, v;
};

// Keys that are read in two parts, narrower second parts, and keys that are put together first.
const Case kCases[] = {{{0, 1, 66, 257}, 2, 128, 64, 128}, {{0, 1, 322, 600}, 3, 128, 64, 128},
                       {{0, 130, 131}, 2, 64, 64, 64},     {{0, 77, 300}, 4, 64, 16, 128},
                       {{0, 129}, 2, 128, 32, 96},         {{0, 3, 3, 70}, 2, 6, 4, 5},
                       {{0, 100}, 2, 96, 64, 64}};

// A side of one case.
struct Data {
  Tensor q, k_nope, k_rope, v, cos, sin, d_o, o, lse, dq, dk_nope, dk_rope, dv;
};

// Tensors in f32 as either side begins with them; gradients are added to.
Data make_inputs(Sides& s, const Case& c) {
  const int64_t t = c.cu.back(), width = c.heads * (c.nope + c.rope);
  return {s.normal({t, width}),
          s.normal({t, c.heads, c.nope}),
          s.normal({t, c.rope}),
          s.normal({t, c.heads, c.v}),
          s.make.normal(f, {t, c.rope / 2}),
          s.make.normal(f, {t, c.rope / 2}),
          s.normal({t, c.heads, c.v}),
          s.make.poisoned(f, {t, c.heads, c.v}),
          s.make.poisoned(f, {t, c.heads}),
          s.normal({t, width}, 0.1),
          s.normal({t, c.heads, c.nope}, 0.1),
          s.normal({t, c.rope}, 0.1),
          s.normal({t, c.heads, c.v}, 0.1)};
}

Data upload(Sides& s, const Data& d) {
  return {s.up(d.q),   s.up(d.k_nope),  s.up(d.k_rope),
          s.up(d.v),   s.wide(d.cos),   s.wide(d.sin),
          s.up(d.d_o), s.poisoned(d.o), s.on_gpu.poisoned(d.lse, f),
          s.up(d.dq),  s.up(d.dk_nope), s.up(d.dk_rope),
          s.up(d.dv)};
}

// Forward, then backward that adds.
void run(Context& ctx, const Data& d, const Sequences& sequences, double scale) {
  const MlaAttention in{d.q, d.k_nope, d.k_rope, d.v};
  const AttentionShape shape{sequences, scale};
  mla_attention_forward(ctx, d.o, d.lse, in, shape);
  mla_attention_backward(ctx, {d.dq, d.dk_nope, d.dk_rope, d.dv}, d.d_o,
                         {in, d.o, d.lse, d.cos, d.sin}, shape);
}

TEST_CASE("cuda: latent attention with keys in two parts is the CPU's", "[ops][cuda]") {
  on_each(1e-5, 1.5e-2, [](Sides& s, double bound) {
    for (const Case& c : kCases) {
      if (test::quick() && c.cu.back() > 400) continue;
      CAPTURE(c.cu, c.heads, c.nope, c.rope, c.v);
      const double scale = 1.3 / std::sqrt(static_cast<double>(c.nope + c.rope));
      const Data host = make_inputs(s, c);
      const Data device = upload(s, host);
      run(s.host, host, c.cu, scale);
      const Sequences sequences(c.cu, s.on_gpu.ints(c.cu));
      run(s.ctx, device, sequences, scale);
      const auto agree = [&](const Data& got) {
        CHECK(s.off(got.dq, host.dq) < bound);
        CHECK(s.off(got.dk_nope, host.dk_nope) < bound);
        CHECK(s.off(got.dk_rope, host.dk_rope) < bound);
        CHECK(s.off(got.dv, host.dv) < bound);
      };
      CHECK(s.off(device.o, host.o) < bound);
      CHECK(s.off(device.lse, host.lse, Layout::dense) < 1e-5);
      agree(device);

      // Fresh gradients are written, whatever is there, and the same bits each time.
      const MlaAttention cpu_in{host.q, host.k_nope, host.k_rope, host.v};
      mla_attention_backward(
          s.host, {fresh(host.dq), fresh(host.dk_nope), fresh(host.dk_rope), fresh(host.dv)},
          host.d_o, {cpu_in, host.o, host.lse, host.cos, host.sin}, {c.cu, scale});
      const MlaAttention in{device.q, device.k_nope, device.k_rope, device.v};
      Data twice[2] = {device, device};
      for (Data& d : twice) {
        d.dq = s.poisoned(host.dq), d.dk_nope = s.poisoned(host.dk_nope);
        d.dk_rope = s.poisoned(host.dk_rope), d.dv = s.poisoned(host.dv);
        mla_attention_backward(s.ctx,
                               {fresh(d.dq), fresh(d.dk_nope), fresh(d.dk_rope), fresh(d.dv)},
                               d.d_o, {in, d.o, d.lse, d.cos, d.sin}, {sequences, scale});
        agree(d);
      }
      for (Tensor Data::*t : {&Data::dq, &Data::dk_nope, &Data::dk_rope, &Data::dv})
        CHECK(test::same_bits(s.on_gpu.download(s.make, twice[0].*t, s.layout),
                              s.on_gpu.download(s.make, twice[1].*t, s.layout)));
    }
  });
}

// The last rows of sequences over all their keys.
TEST_CASE("cuda: latent attention of the last rows is that of all", "[ops][cuda]") {
  on_each(3e-6, 8e-3, [](Sides& s, double bound) {
    const Case c{{0, 150, 590}, 2, 128, 64, 128};
    const std::vector<int32_t> cu{0, 30, 231};
    const Data all = make_inputs(s, c);
    mla_attention_forward(s.host, all.o, {}, {all.q, all.k_nope, all.k_rope, all.v}, {c.cu, 0.1});
    const Tensor q = s.make.zeros(f, {231, all.q.cols()});
    const Tensor o = s.make.zeros(f, {231, c.heads, c.v});
    for (size_t i = 0; i < 2; ++i)
      for (int32_t t = cu[i]; t < cu[i + 1]; ++t) {
        const int64_t from = c.cu[i + 1] - cu[i + 1] + t;
        std::copy_n(all.q.row<float>(from), q.cols(), q.row<float>(t));
        for (int64_t h = 0; h < c.heads; ++h)
          std::copy_n(all.o.row<float>(from * c.heads + h), c.v, o.row<float>(t * c.heads + h));
      }
    const Tensor got = s.poisoned(o);
    mla_attention_forward(
        s.ctx, got, {}, {s.up(q), s.up(all.k_nope), s.up(all.k_rope), s.up(all.v)},
        {Sequences(cu, s.on_gpu.ints(cu)), 0.1, Sequences(c.cu, s.on_gpu.ints(c.cu))});
    CHECK(s.off(got, o) < bound);
  });
}

}  // namespace
}  // namespace temper
