#include "model/ops/decode_attention.h"

#include "core/random.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Layout;
using test::Tensors;

constexpr int64_t kBlockSize = 16;

// Rows of three sequences, of which one is still at its first token; two rows of one sequence see
// different lengths. Blocks are scattered.
struct Batch {
  std::vector<int32_t> sequence = {2, 0, 1, 0}, length = {1, 173, 64, 150};
  std::vector<int32_t> table;
  int64_t blocks = 40, most_blocks = 11;

  Batch() {
    for (int32_t i = 0; i < 3 * 11; ++i) table.push_back(i * 17 % 37 + 2);
  }
  PagedRows on_cpu(Tensors& make) const {
    return {make.ints({3, most_blocks}, table), make.ints({4}, sequence), make.ints({4}, length)};
  }
  PagedRows on_gpu(GpuTensors& gpu) const {
    return {gpu.ints(table).reshape({3, most_blocks}), gpu.ints(sequence), gpu.ints(length)};
  }
};

// A cache [blocks, 16, width] on the device in the shape of the host's.
struct Caches {
  Tensor cpu, gpu;
  Caches(Tensors& make, GpuTensors& on_gpu, DType dtype, int64_t blocks, int64_t width)
      : cpu(make.normal(DType::f32, {blocks, kBlockSize, width})) {
    test::round_to(dtype, cpu);
    gpu = on_gpu.upload(cpu, dtype);
  }
};

void check_mla(Context& ctx, DType dtype, Layout layout, int64_t heads, int64_t latent,
               int64_t rope, double bound) {
  CAPTURE(heads, latent, rope, static_cast<int>(layout));
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(1);
  const Batch batch;
  const Caches cache(make, on_gpu, dtype, batch.blocks, latent + rope);
  const Tensor q = make.normal(DType::f32, {4, heads, latent}, 0.6);
  const Tensor r = make.normal(DType::f32, {4, heads, rope}, 0.6);
  for (const Tensor& t : {q, r}) test::round_to(dtype, t);
  const Tensor o = make.poisoned(DType::f32, {4, heads, latent});
  const Tensor gpu_o = on_gpu.poisoned(o, dtype, layout);
  mla_decode_attention(host, o, q, r, cache.cpu, batch.on_cpu(make), 0.2);
  mla_decode_attention(ctx, gpu_o, on_gpu.upload(q, dtype, layout), on_gpu.upload(r, dtype, layout),
                       cache.gpu, batch.on_gpu(on_gpu), 0.2);
  const Tensor flat = o.reshape({4 * heads, latent});
  CHECK(test::relative_difference(on_gpu.download(make, gpu_o, layout), flat) < bound);
}

void check_gqa(Context& ctx, DType dtype, Layout layout, int64_t heads, int64_t kv, int64_t dim,
               double bound) {
  CAPTURE(heads, kv, dim, static_cast<int>(layout));
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(1);
  const Batch batch;
  const Caches cache(make, on_gpu, dtype, batch.blocks, 2 * kv * dim);
  const Tensor q = make.normal(DType::f32, {4, heads, dim});
  test::round_to(dtype, q);
  const Tensor o = make.poisoned(DType::f32, {4, heads, dim});
  const Tensor gpu_o = on_gpu.poisoned(o, dtype, layout);
  gqa_decode_attention(host, o, q, cache.cpu, batch.on_cpu(make), 0.3);
  gqa_decode_attention(ctx, gpu_o, on_gpu.upload(q, dtype, layout), cache.gpu, batch.on_gpu(on_gpu),
                       0.3);
  const Tensor flat = o.reshape({4 * heads, dim});
  CHECK(test::relative_difference(on_gpu.download(make, gpu_o, layout), flat) < bound);
}

TEST_CASE("cuda: decode attention is the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const Layout layout : test::kLayouts) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const double bound = dtype == DType::f32 ? 5e-6 : 4e-3;  // bf16: its last rounding
      check_mla(*ctx, dtype, layout, 1, 13, 6, bound);
      check_mla(*ctx, dtype, layout, 5, 64, 16, bound);
      check_mla(*ctx, dtype, layout, 16, 512, 64, bound);
      check_gqa(*ctx, dtype, layout, 3, 3, 9, bound);
      check_gqa(*ctx, dtype, layout, 6, 2, 64, bound);
      check_gqa(*ctx, dtype, layout, 20, 2, 128, bound);
    }
  }
}

TEST_CASE("cuda: a row's numbers do not depend on its batch", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  Tensors make;
  GpuTensors on_gpu(*ctx);
  const Batch batch;
  const Caches cache(make, on_gpu, DType::bf16, batch.blocks, 80);
  const Tensor q = make.normal(DType::f32, {4, 5, 80}), like = make.zeros(DType::f32, {4, 5, 64});
  const Tensor gpu_q = on_gpu.upload(q, DType::bf16), all = on_gpu.poisoned(like, DType::bf16);
  const Tensor one = on_gpu.poisoned(like.slice_rows(0, 1), DType::bf16);
  const PagedRows rows = batch.on_gpu(on_gpu);
  const auto attend = [&](const Tensor& o, int64_t row, int64_t count) {
    const Tensor part = gpu_q.slice_rows(row, count);
    mla_decode_attention(*ctx, o, part.slice_cols(0, 64), part.slice_cols(64, 16), cache.gpu,
                         {rows.block_table, rows.row_sequence.slice_rows(row, count),
                          rows.context_length.slice_rows(row, count)},
                         0.2);
  };
  attend(all, 0, 4);
  attend(one, 1, 1);
  CHECK(test::same_bits(on_gpu.download(make, one), on_gpu.download(make, all.slice_rows(1, 1))));
}

void check_write(Context& ctx, DType dtype, Layout layout, int64_t width) {
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(1);
  const Caches cache(make, on_gpu, dtype, 6, width);
  const Tensor values = make.normal(DType::f32, {5, width});
  test::round_to(dtype, values);
  const std::vector<int32_t> slots = {95, 0, 17, 3, 64};
  cache_write(host, cache.cpu, values, make.ints({5}, slots));
  cache_write(ctx, cache.gpu, on_gpu.upload(values, dtype, layout), on_gpu.ints(slots));
  const Tensor flat = cache.cpu.reshape({6 * kBlockSize, width});
  CHECK(test::relative_difference(on_gpu.download(make, cache.gpu), flat) == 0.0);
}

TEST_CASE("cuda: cache entries are written where the CPU writes them", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const Layout layout : test::kLayouts)
    for (const DType dtype : {DType::f32, DType::bf16})
      for (const int64_t width : {1, 37, 576}) check_write(*ctx, dtype, layout, width);
}

}  // namespace
}  // namespace temper
