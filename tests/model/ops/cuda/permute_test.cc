#include "model/ops/permute.h"

#include "core/random.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Layout;
using test::Tensors;

struct Size {
  int64_t tokens, k, experts, d;
};
// One of nothing much, odd ones, aligned ones, many at once, and several chunks of the sort.
const Size kSizes[] = {
    {1, 1, 1, 1}, {37, 3, 9, 33}, {70, 4, 16, 64}, {1301, 2, 256, 24}, {2500, 3, 300, 8}};

// Distinct ascending experts of each token; expert 3 stays empty where it can.
std::vector<int32_t> choices_of(const Size& n) {
  Random random(7, RandomStream::data);
  std::vector<int32_t> out;
  for (int64_t t = 0; t < n.tokens; ++t) {
    std::vector<int32_t> own;
    while (static_cast<int64_t>(own.size()) < n.k) {
      const auto e = static_cast<int32_t>(random.uniform() * static_cast<double>(n.experts));
      if (e < n.experts && e != 3 && std::find(own.begin(), own.end(), e) == own.end())
        own.push_back(e);
    }
    std::sort(own.begin(), own.end());
    out.insert(out.end(), own.begin(), own.end());
  }
  return out;
}

// The plan on both sides.
struct Plans {
  ExpertPlan cpu, gpu;
  Plans(Context& ctx, Tensors& make, GpuTensors& on_gpu, const Size& n) {
    const std::vector<int32_t> choices = choices_of(n);
    const std::vector<int32_t> wrong(choices.size(), -9);
    cpu = {make.ints({n.tokens, n.k}, wrong), make.ints({n.tokens * n.k}, wrong),
           make.ints({n.experts + 1}, {})};
    gpu = {on_gpu.upload(cpu.row_of), on_gpu.upload(cpu.token_of), on_gpu.upload(cpu.offsets)};
    const Tensor experts = make.ints({n.tokens, n.k}, choices);
    Context host(1);
    plan_experts(host, cpu, experts);
    plan_experts(ctx, gpu, on_gpu.upload(experts));
  }
};

std::vector<int32_t> values(const Tensor& t) {
  return {t.get<int32_t>(), t.get<int32_t>() + t.numel()};
}

TEST_CASE("cuda: the expert plan is the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const Size& n : kSizes) {
    CAPTURE(n.tokens);
    Tensors make;
    GpuTensors on_gpu(*ctx);
    const Plans plans(*ctx, make, on_gpu, n);
    CHECK(download_ints(*ctx, plans.gpu.offsets) == values(plans.cpu.offsets));
    CHECK(download_ints(*ctx, plans.gpu.row_of) == values(plans.cpu.row_of));
    CHECK(download_ints(*ctx, plans.gpu.token_of) == values(plans.cpu.token_of));
    // More layers than a launch takes, all but one of the same rows.
    const int64_t layers = 66;
    const std::vector<int32_t> before(static_cast<size_t>(layers * n.experts), 5);
    const Tensor counts = make.ints({layers, n.experts}, before);
    const Tensor gpu_counts = on_gpu.upload(counts);
    const std::vector<int32_t> none(static_cast<size_t>(n.experts + 1), 3);
    std::vector<Tensor> cpu_offsets(66, plans.cpu.offsets), gpu_offsets(66, plans.gpu.offsets);
    cpu_offsets[65] = make.ints({n.experts + 1}, none), gpu_offsets[65] = on_gpu.ints(none);
    Context host(1);
    count_rows(host, counts, cpu_offsets);
    count_rows(*ctx, gpu_counts, gpu_offsets);
    CHECK(download_ints(*ctx, gpu_counts) == values(counts));
  }
}

TEST_CASE("cuda: no tokens, no rows of any expert", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  GpuTensors on_gpu(*ctx);
  Tensor none = on_gpu.ints({0});
  none.rank = 2, none.shape = {0, 2}, none.row_stride = 2;
  const Tensor offsets = on_gpu.ints({7, 7, 7, 7});
  plan_experts(*ctx, {none, none.reshape({0}), offsets}, none);
  CHECK(download_ints(*ctx, offsets) == std::vector<int32_t>(4, 0));
}

// Everything that moves rows, on both sides; the same numbers go in.
void check_moves(Context& ctx, DType dtype, Layout layout, const Size& n, double bound) {
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(1);
  const DType f = DType::f32;
  const Plans plans(ctx, make, on_gpu, n);
  const Tensor x = make.normal(f, {n.tokens, n.d}), rows = make.normal(f, {n.tokens * n.k, n.d});
  const Tensor y = make.normal(f, {n.tokens, n.d}), weights = make.normal(f, {n.tokens, n.k});
  for (const Tensor& t : {x, rows, y}) test::round_to(dtype, t);
  const auto up = [&](const Tensor& t) { return on_gpu.upload(t, dtype, layout); };
  const auto off = [&](const Tensor& gpu, const Tensor& cpu, Layout lies) {
    return test::relative_difference(on_gpu.download(make, gpu, lies), cpu);
  };

  const Tensor gpu_x = up(x), gpu_rows = up(rows),
               gpu_gathered = on_gpu.poisoned(rows, dtype, layout);
  const Tensor gathered = make.poisoned(f, {n.tokens * n.k, n.d});
  gather_rows_forward(host, gathered, x, plans.cpu.token_of);
  gather_rows_forward(ctx, gpu_gathered, gpu_x, plans.gpu.token_of);
  CHECK(off(gpu_gathered, gathered, layout) == 0.0);

  const Tensor gpu_spread = on_gpu.poisoned(rows, dtype, layout);
  spread_rows(ctx, gpu_spread, gpu_x, plans.gpu.row_of);
  CHECK(off(gpu_spread, gathered, layout) == 0.0);

  const Tensor dx = make.copy_of(x), gpu_dx = up(x);
  gather_rows_backward(host, dx, rows, plans.cpu.row_of);
  gather_rows_backward(ctx, gpu_dx, gpu_rows, plans.gpu.row_of);
  CHECK(off(gpu_dx, dx, layout) < bound);

  const Tensor sum = make.copy_of(y), gpu_sum = up(y);
  const Tensor gpu_weights = on_gpu.upload(weights, f, layout);
  combine_forward(host, sum, {rows, weights, plans.cpu.row_of});
  combine_forward(ctx, gpu_sum, {gpu_rows, gpu_weights, plans.gpu.row_of});
  CHECK(off(gpu_sum, sum, layout) < bound);

  const Tensor written = make.poisoned(f, {n.tokens, n.d});
  const Tensor gpu_written = on_gpu.poisoned(written, dtype, layout);
  gather_rows_backward(host, fresh(written), rows, plans.cpu.row_of);
  gather_rows_backward(ctx, fresh(gpu_written), gpu_rows, plans.gpu.row_of);
  CHECK(off(gpu_written, written, layout) < bound);
}

TEST_CASE("cuda: gather and combine are the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const Size& n : kSizes) {
    for (const Layout layout : test::kLayouts) {
      CAPTURE(n.tokens, static_cast<int>(layout));
      for (const DType dtype : test::kDTypes)  // one rounding
        check_moves(*ctx, dtype, layout, n, test::bound_in(dtype, 1e-6, 4e-3));
    }
  }
}

}  // namespace
}  // namespace temper
