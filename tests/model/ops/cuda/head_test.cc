// The head's product with its log-probabilities: the GPU against the CPU in f64.
#include "model/ops/head.h"

#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Tensors;

constexpr DType f = DType::f32;

Tensor widened(Tensors& make, const Tensor& t) {
  const Tensor out = make.zeros(DType::f64, {t.rows(), t.cols()});
  for (int64_t i = 0; i < t.rows(); ++i)
    for (int64_t j = 0; j < t.cols(); ++j) out.row<double>(i)[j] = t.row<float>(i)[j];
  return out;
}
Tensor as_vector(const Tensor& t) {
  return t.reshape({t.numel()});
}

struct Size {
  int64_t rows, d, vocab;
};

// One batch on both sides.
struct Head {
  Context& ctx;
  Tensors make = {};
  GpuTensors on_gpu{ctx};
  Context host{2};

  double off(const Tensor& gpu, const Tensor& cpu) {
    return test::relative_difference(widened(make, on_gpu.download(make, gpu)),
                                     cpu.reshape({cpu.rows(), cpu.cols()}));
  }
  LogProbOutputs outputs(const Tensor& like, bool entropy) {
    return {on_gpu.poisoned(like, f), entropy ? on_gpu.poisoned(like, f) : Tensor{},
            on_gpu.poisoned(like, f)};
  }
};

// `size`: of the hidden states; from some 40 on the largest logit is often e^80 above the target's.
void check_head(Context& ctx, DType dtype, const Size& z, bool entropy, double size = 1.0) {
  Head h{ctx};
  const Tensor hidden = h.make.normal(f, {z.rows, z.d}, size);
  const Tensor lm_head = h.make.normal(f, {z.vocab, z.d}, 2.0 / std::sqrt(double(z.d)));
  for (const Tensor& t : {hidden, lm_head}) test::round_to(dtype, t);
  std::vector<int32_t> target;
  for (int64_t t = 0; t < z.rows; ++t)
    target.push_back(t % 5 == 3 ? -1 : static_cast<int32_t>((t * 7919 + 5) % z.vocab));
  const HeadTargets targets{.targets = h.make.ints({z.rows}, target), .temperature = 0.8};
  const HeadTargets on_gpu{.targets = h.on_gpu.ints(target), .temperature = 0.8};
  const Tensor like = h.make.zeros(f, {z.rows}), wide = h.make.zeros(DType::f64, {z.rows});
  const LogProbOutputs cpu{h.make.copy_of(wide), entropy ? h.make.copy_of(wide) : Tensor{},
                           h.make.copy_of(wide)};
  const LogProbOutputs gpu = h.outputs(like, entropy);
  const Tensor x = widened(h.make, hidden), w = widened(h.make, lm_head);
  const Tensor gpu_x = h.on_gpu.upload(hidden, dtype), gpu_w = h.on_gpu.upload(lm_head, dtype);
  head_log_prob_forward(h.host, cpu, x, w, targets);
  head_log_prob_forward(ctx, gpu, gpu_x, gpu_w, on_gpu);
  CHECK(h.off(gpu.lse, cpu.lse) < 2e-6);
  CHECK(h.off(gpu.logprob, cpu.logprob) < 2e-6);
  if (entropy) CHECK(h.off(gpu.entropy, cpu.entropy) < 5e-6);

  const Tensor dlogprob = h.make.normal(f, {z.rows}), dentropy = h.make.normal(f, {z.rows});
  const HeadGradients cpu_d{as_vector(widened(h.make, dlogprob)),
                            entropy ? as_vector(widened(h.make, dentropy)) : Tensor{}, cpu};
  const HeadGradients gpu_d{h.on_gpu.upload(dlogprob, f),
                            entropy ? h.on_gpu.upload(dentropy, f) : Tensor{}, gpu};
  const Tensor dx = h.make.copy_of(x), dw = h.make.copy_of(w);
  const Tensor gpu_dx = h.on_gpu.poisoned(hidden, dtype), gpu_dw = h.on_gpu.poisoned(lm_head, f);
  head_log_prob_backward(h.host, {fresh(dx), fresh(dw)}, cpu_d, x, w, targets);
  head_log_prob_backward(ctx, {fresh(gpu_dx), fresh(gpu_dw)}, gpu_d, gpu_x, gpu_w, on_gpu);
  // The logits' gradient is rounded where hidden is narrow.
  const double in_f32 = size > 1.0 ? 4e-5 : 1e-5;
  CHECK(h.off(gpu_dx, dx) < test::bound_in(dtype, in_f32, 8e-3));
  CHECK(h.off(gpu_dw, dw) < test::bound_in(dtype, in_f32, 4e-3));
  if (entropy) return;

  // Both in one, written and added.
  const LogProbOutputs once = h.outputs(like, false);
  const Tensor new_dx = h.on_gpu.poisoned(hidden, dtype), new_dw = h.on_gpu.poisoned(lm_head, f);
  head_log_prob_linear(ctx, once, {fresh(new_dx), fresh(new_dw)}, gpu_d.dlogprob, gpu_x, gpu_w,
                       on_gpu);
  CHECK(h.off(once.lse, cpu.lse) < 2e-6);
  CHECK(h.off(once.logprob, cpu.logprob) < 2e-6);
  CHECK(h.off(new_dx, dx) < test::bound_in(dtype, in_f32, 1e-2));
  CHECK(h.off(new_dw, dw) < test::bound_in(dtype, in_f32, 6e-3));
  head_log_prob_backward(h.host, {dx, dw}, cpu_d, x, w, targets);
  head_log_prob_linear(ctx, once, {new_dx, new_dw}, gpu_d.dlogprob, gpu_x, gpu_w, on_gpu);
  CHECK(h.off(new_dx, dx) < test::bound_in(dtype, in_f32, 1e-2));
  CHECK(h.off(new_dw, dw) < test::bound_in(dtype, in_f32, 6e-3));
}

TEST_CASE("cuda: the head's log-probabilities and gradients are the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const Size& z :
       {Size{1, 8, 8}, {37, 17, 33}, {37, 72, 136}, {300, 64, 1000}, {521, 136, 2056}}) {
    for (const DType dtype : test::kDTypes) {
      CAPTURE(z.rows, z.d, z.vocab, name_of(dtype));
      check_head(*ctx, dtype, z, true);
      check_head(*ctx, dtype, z, false);
      check_head(*ctx, dtype, z, false, 40.0);
    }
  }
}

}  // namespace
}  // namespace temper
