// Ops between a residual stream in f32 and activations in 16 bits: the GPU's results against the
// CPU's in f32 on the same numbers.
#include "model/ops/embedding.h"
#include "model/ops/linear.h"
#include "model/ops/permute.h"
#include "model/ops/rms_norm.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Layout;
using test::Tensors;

constexpr DType f = DType::f32;
constexpr double kWide = 2e-6;  // nothing rounded

// CPU tensors in f32 and their images; what is narrow on the GPU is rounded here too.
struct Sides {
  Context& ctx;
  DType b;  // the narrow type
  Layout layout;
  Tensors make = {};
  GpuTensors on_gpu{ctx};
  Context host{2};

  Tensor wide(std::initializer_list<int64_t> dims) { return make.normal(f, dims); }
  Tensor narrow(std::initializer_list<int64_t> dims) {
    const Tensor t = make.normal(f, dims);
    test::round_to(b, t);
    return t;
  }
  Tensor up(const Tensor& t, DType dtype) { return on_gpu.upload(t, dtype, layout); }
  Tensor poisoned(const Tensor& like, DType dtype) { return on_gpu.poisoned(like, dtype, layout); }
  double off(const Tensor& gpu, const Tensor& cpu) { return off(gpu, cpu, layout); }
  double off(const Tensor& gpu, const Tensor& cpu, Layout lies) {
    return test::relative_difference(on_gpu.download(make, gpu, lies), cpu);
  }
};

template <class Body>
void on_each(Body&& body) {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const Layout layout : test::kLayouts) {
    for (const DType narrow : {DType::bf16, DType::f16}) {
      CAPTURE(static_cast<int>(layout), name_of(narrow));
      Sides sides{*ctx, narrow, layout};
      body(sides);
    }
  }
}

TEST_CASE("cuda: RMSNorm reads a wide stream and keeps it rounded", "[ops][cuda]") {
  on_each([](Sides& s) {
    for (const int64_t cols : {1, 33, 192, 576, 1024, 7168}) {
      const int64_t rows = 37;
      const Tensor x = s.wide({rows, cols}), w = s.narrow({cols});
      const Tensor y = s.make.poisoned(f, {rows, cols}), rstd = s.make.poisoned(f, {rows});
      const Tensor gpu_y = s.poisoned(y, s.b), kept = s.poisoned(x, s.b);
      const Tensor gpu_rstd = s.on_gpu.poisoned(rstd, f), gpu_x = s.up(x, f);
      const Tensor gpu_w = s.on_gpu.upload(w, s.b);
      rms_norm_forward(s.host, y, {rstd}, x, w, 1e-6);
      rms_norm_forward(s.ctx, gpu_y, {gpu_rstd, kept}, gpu_x, gpu_w, 1e-6);
      CHECK(s.off(gpu_y, y) < test::bound_in(s.b, 0.0, 4e-3));
      CHECK(s.off(gpu_rstd, rstd, Layout::dense) < kWide);
      const Tensor again = s.poisoned(y, s.b);
      rms_norm_forward(s.ctx, again, {}, gpu_x, gpu_w, 1e-6);
      CHECK(s.off(again, s.on_gpu.download(s.make, gpu_y, s.layout)) == 0.0);
      const Tensor rounded = s.make.copy_of(x);
      test::round_to(s.b, rounded);
      CHECK(s.off(kept, rounded) == 0.0);
    }
  });
}

TEST_CASE("cuda: narrow embeddings, products and experts go into a wide stream", "[ops][cuda]") {
  on_each([](Sides& s) {
    for (const int64_t d : {1, 33, 72, 576, 2080}) {
      const int64_t rows = 70, k = 96;
      const Tensor table = s.narrow({9, d}), stream = s.make.poisoned(f, {rows, d});
      std::vector<int32_t> ids;
      for (int32_t t = 0; t < rows; ++t) ids.push_back(t * 5 % 9);
      const Tensor gpu_stream = s.poisoned(stream, f);
      embedding_forward(s.host, stream, table, s.make.ints({rows}, ids));
      embedding_forward(s.ctx, gpu_stream, s.up(table, s.b), s.on_gpu.ints(ids));
      CHECK(s.off(gpu_stream, stream) == 0.0);

      const Tensor x = s.narrow({rows, k}), w = s.narrow({d, k}), bias = s.narrow({d});
      linear_add_forward(s.host, stream, x, w, bias);
      linear_add_forward(s.ctx, gpu_stream, s.up(x, s.b), s.on_gpu.upload(w, s.b),
                         s.on_gpu.upload(bias, s.b));
      CHECK(s.off(gpu_stream, stream) < kWide);

      const Tensor sorted = s.narrow({2 * rows, d}), weights = s.wide({rows, 2});
      std::vector<int32_t> row_of;
      for (int32_t c = 0; c < 2 * rows; ++c) row_of.push_back(c * 3 % (2 * rows));
      const Tensor places = s.make.ints({rows, 2}, row_of);
      Combined sum{sorted, weights, places};
      Combined gpu_sum{s.up(sorted, s.b), s.on_gpu.upload(weights, f),
                       s.on_gpu.ints(row_of).reshape({rows, 2})};
      combine_forward(s.host, stream, sum);
      combine_forward(s.ctx, gpu_stream, gpu_sum);
      CHECK(s.off(gpu_stream, stream) < kWide);
      sum.plus = s.narrow({rows, d}), gpu_sum.plus = s.up(sum.plus, s.b);
      combine_forward(s.host, stream, sum);
      combine_forward(s.ctx, gpu_stream, gpu_sum);
      CHECK(s.off(gpu_stream, stream) < 2 * kWide);

      // With the norm that follows.
      const Tensor norm = s.narrow({d}), normed = s.make.poisoned(f, {rows, d});
      const Tensor kept = s.make.poisoned(f, {rows, d}), rstd = s.make.poisoned(f, {rows});
      const Tensor gpu_normed = s.poisoned(normed, s.b), gpu_kept = s.poisoned(kept, s.b);
      const Tensor gpu_rstd = s.on_gpu.poisoned(rstd, f);
      combine_norm_forward(s.host, stream, sum, {norm, normed, {rstd, kept}, 1e-6});
      combine_norm_forward(s.ctx, gpu_stream, gpu_sum,
                           {s.on_gpu.upload(norm, s.b), gpu_normed, {gpu_rstd, gpu_kept}, 1e-6});
      CHECK(s.off(gpu_stream, stream) < 4 * kWide);
      CHECK(s.off(gpu_normed, normed) < test::bound_in(s.b, 0.0, 6e-3));
      CHECK(s.off(gpu_kept, kept) < test::bound_in(s.b, 0.0, 4e-3));
      if (d > 1) CHECK(s.off(gpu_rstd, rstd, Layout::dense) < 2e-5);  // one number may be almost 0
    }
  });
}

}  // namespace
}  // namespace temper
