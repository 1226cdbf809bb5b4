#include "model/ops/log_prob.h"

#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Layout;
using test::Tensors;

// An f64 host copy.
Tensor widened(Tensors& make, const Tensor& t) {
  const Tensor out = make.zeros(DType::f64, {t.rows(), t.cols()});
  for (int64_t i = 0; i < t.rows(); ++i)
    for (int64_t j = 0; j < t.cols(); ++j) out.row<double>(i)[j] = t.row<float>(i)[j];
  return out;
}
Tensor vector_of(const Tensor& row) {
  return row.reshape({row.numel()});
}
Tensor narrowed(Tensors& make, const Tensor& t) {
  const Tensor out = make.zeros(DType::f32, {t.rows(), t.cols()});
  for (int64_t i = 0; i < t.rows(); ++i)
    for (int64_t j = 0; j < t.cols(); ++j)
      out.row<float>(i)[j] = static_cast<float>(t.row<double>(i)[j]);
  return out;
}

// Against the CPU in f64: what is left is the f32 of the results.
void check_rows(Context& ctx, int64_t vocabulary, Layout layout, bool entropy) {
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(1);
  const DType f = DType::f32, wide = DType::f64;
  const int64_t n = 5;
  const double temperature = 0.7;
  const Tensor logits = make.normal(f, {n, vocabulary}, vocabulary < 10 ? 0.7 : 4.0);
  if (vocabulary > 9) logits.row<float>(2)[0] = -std::numeric_limits<float>::infinity();
  const auto last = static_cast<int32_t>(vocabulary - 1);
  const std::vector<int32_t> target = {0, last, last / 2, -1, last};
  const Tensor like = make.zeros(f, {n});
  const Tensor wide_logits = widened(make, logits), targets = make.ints({n}, target);
  const Tensor gpu_logits = on_gpu.upload(logits, f, layout), gpu_targets = on_gpu.ints(target);
  LogProbOutputs expected{make.poisoned(wide, {n}), {}, make.poisoned(wide, {n})};
  LogProbOutputs out{on_gpu.poisoned(like, f), {}, on_gpu.poisoned(like, f)};
  if (entropy) expected.entropy = make.poisoned(wide, {n}), out.entropy = on_gpu.poisoned(like, f);
  log_prob_forward(host, expected, wide_logits, targets, temperature);
  log_prob_forward(ctx, out, gpu_logits, gpu_targets, temperature);
  const auto off = [&](const Tensor& gpu, const Tensor& cpu, Layout lies) {
    return test::relative_difference(on_gpu.download(make, gpu, lies), narrowed(make, cpu));
  };
  CHECK(off(out.lse, expected.lse, Layout::dense) < 3e-7);
  CHECK(off(out.logprob, expected.logprob, Layout::dense) < 1e-6);
  if (entropy) CHECK(off(out.entropy, expected.entropy, Layout::dense) < 2e-6);

  const Tensor dlogprob = make.normal(f, {n}), dentropy = make.normal(f, {n});
  dlogprob.get<float>()[4] = 0.0F;  // with no entropy wanted, a row of zeros
  const Tensor d_wide = vector_of(widened(make, dlogprob));
  const Tensor e_wide = entropy ? vector_of(widened(make, dentropy)) : Tensor{};
  log_prob_backward(host, wide_logits, d_wide, e_wide, expected, targets, temperature);
  log_prob_backward(ctx, gpu_logits, on_gpu.upload(dlogprob, f),
                    entropy ? on_gpu.upload(dentropy, f) : Tensor{}, out, gpu_targets, temperature);
  CHECK(off(gpu_logits, wide_logits, layout) < 6e-6);
}

TEST_CASE("cuda: log-probabilities and entropy are the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const int64_t vocabulary : {2, 7, 1003, 4096, 129280}) {
    for (const Layout layout : test::kLayouts) {
      CAPTURE(vocabulary, static_cast<int>(layout));
      check_rows(*ctx, vocabulary, layout, true);
      check_rows(*ctx, vocabulary, layout, false);
    }
  }
}

}  // namespace
}  // namespace temper
