#include "model/ops/attention.h"

#include <span>

#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Layout;
using test::Tensors;

struct Case {
  std::vector<int32_t> cu;
  int64_t heads, kv_heads, dim, dim_v;
};

// Sequences of length 1 and 0, tiles that end anywhere, groups, and every width of kernel.
const Case kCases[] = {{{0, 1}, 1, 1, 2, 3},
                       {{0, 3, 3, 10}, 2, 2, 6, 5},
                       {{0, 50, 51, 180}, 4, 2, 64, 64},
                       {{0, 64, 192, 193, 390}, 2, 1, 48, 32},
                       {{0, 129}, 6, 2, 96, 80},
                       {{0, 1, 66, 257}, 2, 2, 192, 128},
                       {{0, 100}, 4, 1, 136, 120},
                       {{0, 1, 322, 600}, 4, 2, 192, 128},
                       {{0, 70, 200}, 2, 1, 256, 256}};

// Host tensors of one case, in f32 (what the GPU gets) or f64 (the reference).
struct Data {
  Tensor q, k, v, d_o, o, lse, dq, dk, dv;
};

Tensor widened(Tensors& make, const Tensor& t) {
  const Tensor out = make.zeros(DType::f64, {t.dim(0), t.dim(1), t.cols()});
  for (int64_t i = 0; i < t.rows(); ++i)
    for (int64_t j = 0; j < t.cols(); ++j) out.row<double>(i)[j] = t.row<float>(i)[j];
  return out;
}

Data inputs(Tensors& make, DType dtype, const Case& c) {
  const int64_t t = c.cu.back();
  const DType f = DType::f32;
  Data d;
  d.q = make.normal(f, {t, c.heads, c.dim});
  d.k = make.normal(f, {t, c.kv_heads, c.dim});
  d.v = make.normal(f, {t, c.kv_heads, c.dim_v});
  d.d_o = make.normal(f, {t, c.heads, c.dim_v});
  d.o = make.poisoned(f, {t, c.heads, c.dim_v});
  d.lse = make.poisoned(f, {t, c.heads});
  // What the gradients are added to.
  d.dq = make.normal(f, {t, c.heads, c.dim}, 0.1);
  d.dk = make.normal(f, {t, c.kv_heads, c.dim}, 0.1);
  d.dv = make.normal(f, {t, c.kv_heads, c.dim_v}, 0.1);
  for (const Tensor& x : {d.q, d.k, d.v, d.d_o, d.dq, d.dk, d.dv}) test::round_to(dtype, x);
  return d;
}

double scale_of(const Case& c) {
  return 1.3 / std::sqrt(static_cast<double>(c.dim));
}

// The CPU in f64.
Data reference(Tensors& make, const Data& in, const Case& c) {
  Context host(2);
  Data d;
  d.q = widened(make, in.q), d.k = widened(make, in.k), d.v = widened(make, in.v);
  d.d_o = widened(make, in.d_o), d.o = widened(make, in.o);
  d.dq = widened(make, in.dq), d.dk = widened(make, in.dk), d.dv = widened(make, in.dv);
  d.lse = make.poisoned(DType::f64, {in.q.dim(0), c.heads});
  const AttentionShape shape{c.cu, scale_of(c)};
  attention_forward(host, d.o, d.lse, d.q, d.k, d.v, shape);
  attention_backward(host, {d.dq, d.dk, d.dv}, d.d_o, {d.q, d.k, d.v, d.o, d.lse}, shape);
  return d;
}

Data on_device(GpuTensors& gpu, const Data& in, DType dtype, Layout layout) {
  const auto up = [&](const Tensor& t) { return gpu.upload(t, dtype, layout); };
  return {up(in.q),
          up(in.k),
          up(in.v),
          up(in.d_o),
          gpu.poisoned(in.o, dtype, layout),
          gpu.poisoned(in.lse, DType::f32, layout),
          up(in.dq),
          up(in.dk),
          up(in.dv)};
}

void run(Context& ctx, GpuTensors& gpu, const Data& d, const Case& c) {
  const AttentionShape shape{Sequences(c.cu, gpu.ints(c.cu)), scale_of(c)};
  attention_forward(ctx, d.o, d.lse, d.q, d.k, d.v, shape);
  attention_backward(ctx, {d.dq, d.dk, d.dv}, d.d_o, {d.q, d.k, d.v, d.o, d.lse}, shape);
}

struct Bounds {
  double forward, backward;
};

void check_case(Context& ctx, DType dtype, const Case& c, const Bounds& bounds) {
  Tensors make;
  const Data in = inputs(make, dtype, c), expected = reference(make, in, c);
  for (const Layout layout : test::kLayouts) {
    if (test::left_out(layout, dtype)) continue;
    CAPTURE(name_of(dtype), c.cu, c.heads, c.dim, c.dim_v, static_cast<int>(layout));
    GpuTensors gpu(ctx);
    const Data d = on_device(gpu, in, dtype, layout);
    run(ctx, gpu, d, c);
    const auto off = [&](const Tensor& device, const Tensor& wide) {
      const Tensor host = gpu.download(make, device, layout);
      const Tensor exact = make.zeros(DType::f32, {wide.rows(), wide.cols()});
      for (int64_t i = 0; i < wide.rows(); ++i)
        for (int64_t j = 0; j < wide.cols(); ++j)
          exact.row<float>(i)[j] = static_cast<float>(wide.row<double>(i)[j]);
      return test::relative_difference(host, exact);
    };
    CHECK(off(d.o, expected.o) < bounds.forward);
    CHECK(off(d.lse, expected.lse) < 1e-5);  // f32 beside either
    CHECK(off(d.dq, expected.dq) < bounds.backward);
    CHECK(off(d.dk, expected.dk) < bounds.backward);
    CHECK(off(d.dv, expected.dv) < bounds.backward);
  }
}

TEST_CASE("cuda: attention in f32 is the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const Case& c : std::span(kCases).first(test::quick() ? 5 : std::size(kCases)))
    check_case(*ctx, DType::f32, c, {3e-6, 1e-5});
}

// What is lost: weights, dS and results are rounded.
TEST_CASE("cuda: attention in 16 bits is the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const DType dtype : {DType::bf16, DType::f16})
    for (const Case& c : kCases)
      check_case(*ctx, dtype, c,
                 {test::bound_in(dtype, 0.0, 8e-3), test::bound_in(dtype, 0.0, 1.5e-2)});
}

// The last rows of sequences alone, over all their keys: tiles of them lie anywhere among the keys.
TEST_CASE("cuda: attention of the last rows of sequences is that of all", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  struct Part {
    Case all;
    std::vector<int32_t> cu;  // of the rows
  };
  for (const Part& part : {Part{{{0, 150, 151, 590}, 4, 2, 192, 128}, {0, 30, 31, 231}},
                           Part{{{0, 129, 400}, 2, 1, 64, 64}, {0, 129, 130}},
                           Part{{{0, 5, 300}, 2, 2, 128, 128}, {0, 0, 140}},
                           Part{{{0, 70, 200}, 2, 1, 256, 256}, {0, 1, 60}}})
    for (const DType dtype : test::kDTypes) {
      CAPTURE(name_of(dtype), part.all.cu, part.cu, part.all.dim);
      Tensors make;
      GpuTensors gpu(*ctx);
      const Data in = inputs(make, dtype, part.all), whole = reference(make, in, part.all);
      const auto last = [&](const Tensor& from) {  // the rows of `cu`, in f32
        const int64_t rows = part.cu.back(), each = from.rows() / part.all.cu.back();
        const Tensor to = make.zeros(DType::f32, {rows, part.all.heads, from.cols()});
        for (size_t s = 0; s + 1 < part.cu.size(); ++s)
          for (int32_t t = part.cu[s]; t < part.cu[s + 1]; ++t)
            for (int64_t h = 0; h < each; ++h)
              for (int64_t j = 0; j < from.cols(); ++j) {
                const int64_t row = (part.all.cu[s + 1] - part.cu[s + 1] + t) * each + h;
                to.row<float>(t * each + h)[j] = from.dtype == DType::f64
                                                     ? static_cast<float>(from.row<double>(row)[j])
                                                     : from.row<float>(row)[j];
              }
        return to;
      };
      const Tensor q = last(in.q), o = last(whole.o);
      const Tensor got = gpu.poisoned(o, dtype);
      attention_forward(*ctx, got, {}, gpu.upload(q, dtype), gpu.upload(in.k, dtype),
                        gpu.upload(in.v, dtype),
                        {Sequences(part.cu, gpu.ints(part.cu)), scale_of(part.all),
                         Sequences(part.all.cu, gpu.ints(part.all.cu))});
      const Tensor flat = o.reshape({o.rows(), o.cols()});
      CHECK(test::relative_difference(gpu.download(make, got), flat) <
            test::bound_in(dtype, 3e-6, 8e-3));
    }
}

TEST_CASE("cuda: attention gives the same bits again, whatever is packed beside it",
          "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  const Case both{{0, 77, 300}, 4, 2, 192, 128};
  Case second = both;
  second.cu = {0, 223};
  for (const DType dtype : test::kDTypes) {
    if (test::quick() && dtype == DType::f32) continue;
    Tensors make;
    GpuTensors gpu(*ctx);
    const Data in = inputs(make, dtype, both);
    Data alone = in;
    for (Tensor* t : {&alone.q, &alone.k, &alone.v, &alone.d_o, &alone.o, &alone.lse, &alone.dq,
                      &alone.dk, &alone.dv})
      *t = t->slice_rows(77, 223);
    const Data a = on_device(gpu, in, dtype, Layout::dense);
    const Data again = on_device(gpu, in, dtype, Layout::aligned_slice);
    const Data b = on_device(gpu, alone, dtype, Layout::dense);
    run(*ctx, gpu, a, both);
    run(*ctx, gpu, again, both);
    run(*ctx, gpu, b, second);
    const auto same = [&](Tensor Data::*t) {
      const Tensor whole = gpu.download(make, a.*t);
      CHECK(test::same_bits(whole, gpu.download(make, again.*t, Layout::aligned_slice)));
      const int64_t each = whole.rows() / 300;
      CHECK(test::same_bits(whole.slice_rows(77 * each, 223 * each), gpu.download(make, b.*t)));
    };
    for (Tensor Data::*t : {&Data::o, &Data::lse, &Data::dq, &Data::dk, &Data::dv}) same(t);
  }
}

}  // namespace
}  // namespace temper
