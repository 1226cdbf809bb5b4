// Ops between a residual stream in f32 and activations in bf16: the GPU's results against the CPU's
// in f32 on the same numbers.
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

constexpr DType f = DType::f32, b = DType::bf16;
constexpr double kWide = 2e-6, kNarrow = 4e-3;  // nothing rounded; one rounding to 8 bits

// CPU tensors in f32 and their images; what is narrow on the GPU is rounded here too.
struct Sides {
  Context& ctx;
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
void on_each_layout(Body&& body) {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const Layout layout : test::kLayouts) {
    CAPTURE(static_cast<int>(layout));
    Sides sides{*ctx, layout};
    body(sides);
  }
}

TEST_CASE("cuda: RMSNorm reads a wide stream and keeps it rounded", "[ops][cuda]") {
  on_each_layout([](Sides& s) {
    for (const int64_t cols : {1, 33, 192, 576, 1024, 7168}) {
      const int64_t rows = 37;
      const Tensor x = s.wide({rows, cols}), w = s.narrow({cols});
      const Tensor y = s.make.poisoned(f, {rows, cols}), rstd = s.make.poisoned(f, {rows});
      const Tensor gpu_y = s.poisoned(y, b), kept = s.poisoned(x, b);
      const Tensor gpu_rstd = s.on_gpu.poisoned(rstd, f), gpu_x = s.up(x, f);
      const Tensor gpu_w = s.on_gpu.upload(w, b);
      rms_norm_forward(s.host, y, {rstd}, x, w, 1e-6);
      rms_norm_forward(s.ctx, gpu_y, {gpu_rstd, kept}, gpu_x, gpu_w, 1e-6);
      CHECK(s.off(gpu_y, y) < kNarrow);
      CHECK(s.off(gpu_rstd, rstd, Layout::dense) < kWide);
      const Tensor again = s.poisoned(y, b);
      rms_norm_forward(s.ctx, again, {}, gpu_x, gpu_w, 1e-6);
      CHECK(s.off(again, s.on_gpu.download(s.make, gpu_y, s.layout)) == 0.0);
      const Tensor rounded = s.make.copy_of(x);
      test::round_to(b, rounded);
      CHECK(s.off(kept, rounded) == 0.0);
    }
  });
}

TEST_CASE("cuda: narrow embeddings, products and experts go into a wide stream", "[ops][cuda]") {
  on_each_layout([](Sides& s) {
    for (const int64_t d : {1, 33, 72, 576}) {
      const int64_t rows = 70, k = 96;
      const Tensor table = s.narrow({9, d}), stream = s.make.poisoned(f, {rows, d});
      std::vector<int32_t> ids;
      for (int32_t t = 0; t < rows; ++t) ids.push_back(t * 5 % 9);
      const Tensor gpu_stream = s.poisoned(stream, f);
      embedding_forward(s.host, stream, table, s.make.ints({rows}, ids));
      embedding_forward(s.ctx, gpu_stream, s.up(table, b), s.on_gpu.ints(ids));
      CHECK(s.off(gpu_stream, stream) == 0.0);

      const Tensor x = s.narrow({rows, k}), w = s.narrow({d, k}), bias = s.narrow({d});
      linear_add_forward(s.host, stream, x, w, bias);
      linear_add_forward(s.ctx, gpu_stream, s.up(x, b), s.on_gpu.upload(w, b),
                         s.on_gpu.upload(bias, b));
      CHECK(s.off(gpu_stream, stream) < kWide);

      const Tensor sorted = s.narrow({2 * rows, d}), weights = s.wide({rows, 2});
      std::vector<int32_t> row_of;
      for (int32_t c = 0; c < 2 * rows; ++c) row_of.push_back(c * 3 % (2 * rows));
      const Tensor places = s.make.ints({rows, 2}, row_of);
      combine_forward(s.host, stream, sorted, weights, places);
      combine_forward(s.ctx, gpu_stream, s.up(sorted, b), s.on_gpu.upload(weights, f),
                      s.on_gpu.ints(row_of).reshape({rows, 2}));
      CHECK(s.off(gpu_stream, stream) < kWide);
    }
  });
}

}  // namespace
}  // namespace temper
