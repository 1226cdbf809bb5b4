#include "model/ops/router.h"

#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Layout;
using test::Tensors;

struct Gate {
  int64_t experts;
  bool bias;
  RouterParams params;
};

Gate gate(int64_t experts, bool bias, int64_t top_k, int64_t n_group, int64_t topk_group,
          bool normalise, ScoringFunc scoring, double factor = 1.0) {
  RouterParams params;
  params.top_k = top_k;
  params.n_group = n_group;
  params.topk_group = topk_group;
  params.norm_topk_prob = normalise;
  params.scoring_func = scoring;
  params.routed_scaling_factor = factor;
  params.group_limited = n_group > 1;
  params.has_correction_bias = bias;
  return {experts, bias, params};
}

const Gate kGates[] = {gate(1, false, 1, 1, 1, true, ScoringFunc::sigmoid),
                       gate(32, true, 4, 1, 1, true, ScoringFunc::sigmoid, 2.5),
                       gate(33, false, 5, 1, 1, false, ScoringFunc::softmax, 1.5),
                       gate(160, false, 6, 8, 3, false, ScoringFunc::softmax, 16.0),  // V2
                       gate(256, true, 8, 8, 4, true, ScoringFunc::sigmoid, 2.5),     // V3
                       gate(320, true, 16, 40, 20, true, ScoringFunc::sigmoid)};

// The gate's outputs of one side.
struct Side {
  Tensor logits, bias;
  RouterOutputs out;
};

struct Sides {
  Side cpu, gpu;
  Sides(Context& ctx, Tensors& make, GpuTensors& on_gpu, const Gate& g, int64_t tokens,
        Layout layout) {
    const DType f = DType::f32;
    const int64_t k = g.params.top_k;
    cpu.logits = make.normal(f, {tokens, g.experts}, 2.0);
    if (g.bias) cpu.bias = make.normal(f, {g.experts}, 0.3);
    cpu.out = {make.ints({tokens, k}, std::vector<int32_t>(static_cast<size_t>(tokens * k), -7)),
               make.poisoned(f, {tokens, k}), make.poisoned(f, {tokens, g.experts})};
    gpu.logits = on_gpu.upload(cpu.logits, f, layout);
    if (g.bias) gpu.bias = on_gpu.upload(cpu.bias, f);
    gpu.out = {on_gpu.upload(cpu.out.experts), on_gpu.poisoned(cpu.out.weights, f, layout),
               on_gpu.poisoned(cpu.out.scores, f, layout)};
    Context host(1);
    router_forward(host, cpu.out, cpu.logits, cpu.bias, g.params);
    router_forward(ctx, gpu.out, gpu.logits, gpu.bias, g.params);
  }
};

TEST_CASE("cuda: the router is the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  Context host(1);
  for (const Gate& g : kGates) {
    for (const Layout layout : test::kLayouts) {
      CAPTURE(g.experts, static_cast<int>(layout));
      Tensors make;
      GpuTensors on_gpu(*ctx);
      const int64_t tokens = 131;
      const Sides s(*ctx, make, on_gpu, g, tokens, layout);
      const auto off = [&](const Tensor& gpu, const Tensor& cpu) {
        return test::relative_difference(on_gpu.download(make, gpu, layout), cpu);
      };
      const int32_t* chosen = s.cpu.out.experts.get<int32_t>();
      const bool same = download_ints(*ctx, s.gpu.out.experts) ==
                        std::vector<int32_t>(chosen, chosen + s.cpu.out.experts.numel());
      CHECK(same);
      CHECK(off(s.gpu.out.scores, s.cpu.out.scores) < 1e-6);
      CHECK(off(s.gpu.out.weights, s.cpu.out.weights) < 2e-6);

      const Tensor dweights = make.normal(DType::f32, {tokens, g.params.top_k});
      const Tensor dlogits = make.normal(DType::f32, {tokens, g.experts}, 0.1);
      const Tensor gpu_dlogits = on_gpu.upload(dlogits, DType::f32, layout);
      router_backward(host, dlogits, dweights, s.cpu.out, g.params);
      router_backward(*ctx, gpu_dlogits, on_gpu.upload(dweights, DType::f32, layout), s.gpu.out,
                      g.params);
      CHECK(off(gpu_dlogits, dlogits) < 2e-6);
    }
  }
}

TEST_CASE("cuda: the router's ties go to the lower index", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  Tensors make;
  GpuTensors on_gpu(*ctx);
  const Gate g = gate(64, false, 4, 8, 2, true, ScoringFunc::sigmoid);
  const Tensor equal = make.zeros(DType::f32, {1, 64});
  equal.get<float>()[40] = 1.0F;
  const RouterOutputs out{on_gpu.ints({0, 0, 0, 0}).reshape({1, 4}),
                          on_gpu.poisoned(make.zeros(DType::f32, {1, 4}), DType::f32),
                          on_gpu.poisoned(equal, DType::f32)};
  router_forward(*ctx, out, on_gpu.upload(equal, DType::f32), {}, g.params);
  CHECK(download_ints(*ctx, out.experts) == std::vector<int32_t>{0, 1, 2, 40});
}

TEST_CASE("cuda: the balance loss is the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  Context host(1);
  const std::vector<int32_t> cu = {0, 1, 70, 70, 200, 203};  // lengths of 1 and 0 too
  for (const Gate& g : kGates) {
    CAPTURE(g.experts);
    Tensors make;
    GpuTensors on_gpu(*ctx);
    const Sides s(*ctx, make, on_gpu, g, cu.back(), Layout::odd_slice);
    const Sequences on_device(cu, on_gpu.ints(cu));
    const Tensor sum = make.zeros(DType::f64, {1});
    *sum.get<double>() = 0.75;
    const Tensor gpu_sum = on_gpu.upload(sum);
    const Tensor dlogits = make.normal(DType::f32, {cu.back(), g.experts}, 1e-3);
    const Tensor gpu_dlogits = on_gpu.upload(dlogits, DType::f32, Layout::odd_slice);
    router_backward(host, dlogits, {}, s.cpu.out, g.params, {0.3, sum, cu});
    router_backward(*ctx, gpu_dlogits, {}, s.gpu.out, g.params, {0.3, gpu_sum, on_device});
    CHECK(download_doubles(*ctx, gpu_sum)[0] == Approx(*sum.get<double>()).epsilon(1e-6));
    CHECK(test::relative_difference(on_gpu.download(make, gpu_dlogits, Layout::odd_slice),
                                    dlogits) < 5e-6);

    // Together with the weights' gradient, written in 16 bits; of one expert there is none.
    if (g.experts == 1) continue;
    const Tensor dweights = make.normal(DType::f32, {cu.back(), g.params.top_k}, 1e-3);
    router_backward(host, fresh(dlogits), dweights, s.cpu.out, g.params, {0.3, {}, cu});
    for (const DType dtype : {DType::bf16, DType::f16}) {
      const Tensor narrow = on_gpu.poisoned(dlogits, dtype);
      router_backward(*ctx, fresh(narrow), on_gpu.upload(dweights, DType::f32), s.gpu.out, g.params,
                      {0.3, {}, on_device});
      CHECK(test::relative_difference(on_gpu.download(make, narrow), dlogits) < 4e-3);
    }
  }
}

}  // namespace
}  // namespace temper
