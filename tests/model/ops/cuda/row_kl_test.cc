#include "model/ops/row_kl.h"

#include <limits>

#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Layout;
using test::Tensors;

// Against the CPU, which computes in f64 from the same f32 numbers.
void check_rows(Context& ctx, int64_t vocabulary, Layout layout, const RowKlParams& params) {
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(2);
  const DType f = DType::f32;
  const int64_t n = 5;
  const Tensor student = make.normal(f, {n, vocabulary}, 3.0);
  const Tensor teacher = make.normal(f, {n, vocabulary}, 3.0);
  const float never = -std::numeric_limits<float>::infinity();
  (params.direction == KlDirection::forward ? teacher : student).row<float>(2)[0] = never;
  for (int64_t v = 0; v < vocabulary; ++v) student.row<float>(3)[v] = teacher.row<float>(3)[v];
  const Tensor gpu_student = on_gpu.upload(student, f, layout);
  const Tensor gpu_teacher = on_gpu.upload(teacher, f, layout);
  const Tensor kl = make.poisoned(DType::f64, {n});
  const Tensor gpu_kl = on_gpu.upload(kl);
  row_kl(host, kl, student, teacher, params);
  row_kl(ctx, gpu_kl, gpu_student, gpu_teacher, params);
  const std::vector<double> got = download_doubles(ctx, gpu_kl);
  for (int64_t r = 0; r < n; ++r)
    CHECK(got[static_cast<size_t>(r)] == Approx(kl.get<double>()[r]).epsilon(2e-6).margin(1e-9));
  const Tensor gradient = on_gpu.download(make, gpu_student, layout);
  for (int64_t r = 0; r < n; ++r) {
    CAPTURE(r);
    double off = 0.0, all = 0.0;
    for (int64_t v = 0; v < vocabulary; ++v) {
      const double expected = student.row<float>(r)[v];
      off += std::pow(gradient.row<float>(r)[v] - expected, 2), all += expected * expected;
    }
    // p (log p - log q - KL) is a difference of numbers of the distribution's size, 1.
    CHECK(std::sqrt(off) < 3e-6 * std::sqrt(all) + 1e-6 * params.scale);
  }
}

TEST_CASE("cuda: distances of two models' logits are the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const int64_t vocabulary : {2, 7, 1003, 129280}) {
    for (const Layout layout : test::kLayouts) {
      for (const KlDirection direction : {KlDirection::forward, KlDirection::reverse}) {
        CAPTURE(vocabulary, static_cast<int>(layout), static_cast<int>(direction));
        check_rows(*ctx, vocabulary, layout, {direction, 1.0, 1.0});
        check_rows(*ctx, vocabulary, layout, {direction, 0.7, 0.31});
      }
    }
  }
}

}  // namespace
}  // namespace temper
