#include "model/ops/cache_entry.h"

#include "model/ops/copy_blocks.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Layout;
using test::Tensors;

struct Case {
  int64_t heads, kv_heads, nope, rope, latent;
};

void check_mla(Context& ctx, const Case& c, DType dtype, Layout layout) {
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(2);
  const int64_t rows = 5, dim = c.nope + c.rope, width = c.latent + c.rope;
  const DType f = DType::f32;
  const Tensor q_flat = make.normal(f, {rows, c.heads * dim}), kv_a = make.normal(f, {rows, width});
  const Tensor norm = make.normal(f, {c.latent}), cos = make.normal(f, {rows, c.rope / 2});
  const Tensor sin = make.normal(f, {rows, c.rope / 2});
  const std::vector<int32_t> slot{9, 0, 3, 4, 15};
  for (const Tensor& t : {q_flat, kv_a, norm}) test::round_to(dtype, t);
  const Tensor q = make.poisoned(f, {rows, c.heads, dim}), cache = make.normal(f, {4, 4, width});
  test::round_to(dtype, cache);
  const auto up = [&](const Tensor& t, Layout lies = Layout::dense) {
    return on_gpu.upload(t, dtype, lies);
  };
  const Tensor gpu_cache = up(cache), gpu_q = on_gpu.poisoned(q, dtype);
  write_mla_entry(ctx, {gpu_cache, gpu_q, up(q_flat, layout), up(kv_a, layout), up(norm),
                        on_gpu.upload(cos, f), on_gpu.upload(sin, f), on_gpu.ints(slot), 1e-6});
  write_mla_entry(host, {cache, q, q_flat, kv_a, norm, cos, sin, make.ints({rows}, slot), 1e-6});
  const double bound = test::bound_in(dtype, 1e-6, 4e-3);
  CHECK(test::relative_difference(on_gpu.download(make, gpu_cache), make.copy_of(cache)) < bound);
  CHECK(test::relative_difference(on_gpu.download(make, gpu_q), make.copy_of(q)) < bound);
}

void check_gqa(Context& ctx, const Case& c, DType dtype, Layout layout) {
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(2);
  const int64_t rows = 5, dim = c.rope, width = c.kv_heads * dim;
  const DType f = DType::f32;
  const Tensor q_flat = make.normal(f, {rows, c.heads * dim}), k = make.normal(f, {rows, width});
  const Tensor v = make.normal(f, {rows, width}), cos = make.normal(f, {rows, dim / 2});
  const Tensor sin = make.normal(f, {rows, dim / 2});
  const std::vector<int32_t> slot{9, 0, 3, 4, 15};
  const Tensor q = make.poisoned(f, {rows, c.heads, dim}),
               cache = make.normal(f, {4, 4, 2 * width});
  for (const Tensor& t : {q_flat, k, v, cache}) test::round_to(dtype, t);
  const auto up = [&](const Tensor& t, Layout lies = Layout::dense) {
    return on_gpu.upload(t, dtype, lies);
  };
  const Tensor gpu_cache = up(cache), gpu_q = on_gpu.poisoned(q, dtype);
  write_gqa_entry(ctx, {gpu_cache, gpu_q, up(q_flat, layout), up(k, layout), up(v, layout),
                        on_gpu.upload(cos, f), on_gpu.upload(sin, f), on_gpu.ints(slot)});
  write_gqa_entry(host, {cache, q, q_flat, k, v, cos, sin, make.ints({rows}, slot)});
  const double bound = test::bound_in(dtype, 1e-6, 4e-3);
  CHECK(test::relative_difference(on_gpu.download(make, gpu_cache), make.copy_of(cache)) < bound);
  CHECK(test::relative_difference(on_gpu.download(make, gpu_q), make.copy_of(q)) < bound);
}

TEST_CASE("cuda: cache entries are the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const Case& c : {Case{8, 2, 128, 64, 512}, Case{3, 3, 5, 4, 7}, Case{9, 3, 16, 64, 130}})
    for (const DType dtype : test::kDTypes)
      for (const Layout layout : test::kLayouts) {
        CAPTURE(c.heads, name_of(dtype), static_cast<int>(layout));
        check_mla(*ctx, c, dtype, layout);
        check_gqa(*ctx, c, dtype, layout);
      }
}

TEST_CASE("cuda: copies of cache blocks are the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const int64_t n : {1, 7, 8, 4608}) {
    Tensors make;
    GpuTensors on_gpu(*ctx);
    Context host(1);
    const Tensor pool = make.normal(DType::f32, {3, 6, n});
    const std::vector<int32_t> pairs{0, 4, 0, 5, 2, 1};
    test::round_to(DType::bf16, pool);
    const Tensor gpu_pool = on_gpu.upload(pool, DType::bf16);
    copy_blocks(*ctx, gpu_pool, on_gpu.ints(pairs).reshape({3, 2}));
    copy_blocks(host, pool, make.ints({3, 2}, pairs));
    CHECK(test::relative_difference(on_gpu.download(make, gpu_pool), make.copy_of(pool)) == 0.0);
  }
}

}  // namespace
}  // namespace temper
