#include "model/ops/cache_entry.h"

#include "model/ops/copy_blocks.h"
#include "model/ops/linear.h"
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

// Entries and queries of one kernel against those of the CPU's ops one after another.
void check_mla_query(Context& ctx, DType narrow, int64_t rows, int64_t heads, int64_t latent,
                     int64_t rope) {
  CAPTURE(name_of(narrow), rows, heads);
  constexpr DType f = DType::f32;
  constexpr int64_t nope = 128;
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(2);
  const int64_t width = latent + rope, cols = heads * (nope + rope);
  const Tensor both = make.normal(f, {rows, cols + width}), norm = make.normal(f, {latent});
  const Tensor w = make.normal(f, {heads, 2 * nope * latent}, 0.1);
  const Tensor cos = make.normal(f, {rows, rope / 2}), sin = make.normal(f, {rows, rope / 2});
  const Tensor cache = make.normal(f, {rows, 16, width});
  for (const Tensor& t : {both, norm, w, cache}) test::round_to(narrow, t);
  std::vector<int32_t> slots;
  for (int64_t i = 0; i < rows; ++i) slots.push_back(static_cast<int32_t>((7 * i + 3) % rows * 16));
  const Tensor q = make.poisoned(f, {rows, heads, nope + rope});
  const Tensor q_latent = make.poisoned(f, {rows, heads, latent});
  const Tensor q_rope = make.poisoned(f, {rows, heads, rope});
  const Tensor gpu_both = on_gpu.upload(both, narrow), gpu_cache = on_gpu.upload(cache, narrow);
  const Tensor gpu_latent = on_gpu.poisoned(q_latent, narrow);
  const Tensor gpu_rope = on_gpu.poisoned(q_rope, narrow);
  const MlaEntry entry{gpu_cache,
                       {},
                       gpu_both.slice_cols(0, cols),
                       gpu_both.slice_cols(cols, width),
                       on_gpu.upload(norm, narrow),
                       on_gpu.upload(cos, f),
                       on_gpu.upload(sin, f),
                       on_gpu.ints(slots),
                       1e-6};
  REQUIRE(write_mla_query(
      ctx, {entry, gpu_latent, gpu_rope, on_gpu.upload(w, narrow).slice_cols(0, nope * latent)}));
  write_mla_entry(host, {cache, q, both.slice_cols(0, cols), both.slice_cols(cols, width), norm,
                         cos, sin, make.ints({rows}, slots), 1e-6});
  head_linear_transposed_forward(host, q_latent, q.slice_cols(0, nope),
                                 w.slice_cols(0, nope * latent));
  const auto off = [&](const Tensor& gpu, const Tensor& cpu) {
    return test::relative_difference(on_gpu.download(make, gpu), make.copy_of(cpu));
  };
  const double bound = test::bound_in(narrow, 0.0, 4e-3);
  CHECK(off(gpu_cache, cache) < bound);
  CHECK(off(gpu_latent, q_latent) < bound);
  CHECK(off(gpu_rope, q.slice_cols(nope, rope)) < bound);
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

TEST_CASE("cuda: cache entries and absorbed queries of one kernel are the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const DType dtype : {DType::bf16, DType::f16}) {
    for (const int64_t rows : {1, 5, 64, 130}) check_mla_query(*ctx, dtype, rows, 8, 512, 64);
    check_mla_query(*ctx, dtype, 67, 3, 192, 16);
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
