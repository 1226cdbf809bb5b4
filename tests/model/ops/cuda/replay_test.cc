// Replayed experts and cut logits: the GPU's results against the CPU's.
#include "model/ops/keep_logits.h"
#include "model/ops/router_replay.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Tensors;

TEST_CASE("cuda: replayed experts are the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const bool norm : {true, false}) {
    Tensors make;
    GpuTensors on_gpu(*ctx);
    Context host(1);
    const int64_t tokens = 203, experts = 9, k = 3;
    RouterParams params;
    params.top_k = k;
    params.norm_topk_prob = norm;
    params.routed_scaling_factor = 2.5;
    const Tensor logits = make.normal(DType::f32, {tokens, experts});
    std::vector<int32_t> wanted;  // every third token goes where its gate says
    for (int32_t t = 0; t < tokens; ++t)
      for (int32_t i = 0; i < k; ++i) wanted.push_back(t % 3 == 0 ? -1 : (t % 7) % 3 + 3 * i);
    const std::vector<int32_t> none(static_cast<size_t>(tokens * k), -9);
    const RouterOutputs cpu{make.ints({tokens, k}, none), make.poisoned(DType::f32, {tokens, k}),
                            make.poisoned(DType::f32, {tokens, experts})};
    const Tensor forced = make.ints({tokens, k}, wanted);
    const Tensor differing =
        make.ints({tokens}, std::vector<int32_t>(static_cast<size_t>(tokens), 4));
    router_forward(host, cpu, logits, {}, params);
    // The GPU starts from the CPU's choice: what is tested is the replay alone.
    const RouterOutputs gpu{on_gpu.upload(cpu.experts), on_gpu.upload(cpu.weights),
                            on_gpu.upload(cpu.scores)};
    const Tensor gpu_differing = on_gpu.upload(differing);
    router_replay(*ctx, gpu, on_gpu.upload(forced), gpu_differing, params);
    router_replay(host, cpu, forced, differing, params);
    const auto values = [](const Tensor& t) {
      return std::vector<int32_t>(t.get<int32_t>(), t.get<int32_t>() + t.numel());
    };
    CHECK(download_ints(*ctx, gpu.experts) == values(cpu.experts));
    CHECK(download_ints(*ctx, gpu_differing) == values(differing));
    CHECK(test::relative_difference(on_gpu.download(make, gpu.weights), cpu.weights) < 1e-6);
  }
}

TEST_CASE("cuda: logits are cut as on the CPU", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  Tensors make;
  GpuTensors on_gpu(*ctx);
  Context host(1);
  const int64_t vocab = 1003;
  const Tensor logits = make.normal(DType::f32, {4, vocab});
  const std::vector<int32_t> begin{0, 3, 3, 4, 9};
  const std::vector<int32_t> ids{0, 500, 1002, 77, 1, 2, 3, 900, 1001};
  const Tensor gpu = on_gpu.upload(logits, DType::f32);
  keep_logits(*ctx, gpu, on_gpu.ints(begin), on_gpu.ints(ids));
  keep_logits(host, logits, make.ints({5}, begin), make.ints({9}, ids));
  CHECK(test::relative_difference(on_gpu.download(make, gpu), logits) == 0.0);
}

}  // namespace
}  // namespace temper
