#include "model/ops/decode_attention.h"

#include <algorithm>
#include <limits>

#include "model/ops/cache_entry.h"
#include "tests/model/ops/cuda/cuda_op_test.h"
#include "tests/model/ops/cuda/slow_copy.h"

namespace temper {
namespace {

using test::GpuTensors;
using test::Layout;
using test::Tensors;

constexpr int64_t kBlockSize = 16;

// Rows of sequences whose blocks are scattered.
struct Batch {
  std::vector<int32_t> sequence, length, table;
  int64_t sequences = 3, blocks = 40, most_blocks = 11;

  // Three sequences, of which one is still at its first token; two rows of one sequence see
  // different lengths.
  Batch() : sequence{2, 0, 1, 0}, length{1, 173, 64, 150} {
    for (int32_t i = 0; i < 3 * 11; ++i) table.push_back(i * 17 % 37 + 2);
  }
  // Rows that see these lengths: of one sequence each, but for the last two, who share one. All
  // sequences have the first block in common. Table entries behind a sequence's end lead nowhere.
  explicit Batch(std::vector<int32_t> lengths) : length(std::move(lengths)) {
    const auto rows = static_cast<int32_t>(length.size());
    sequences = rows - 1;
    const int32_t longest = *std::max_element(length.begin(), length.end());
    most_blocks = (longest + kBlockSize - 1) / kBlockSize + 1;
    table.assign(static_cast<size_t>(sequences * most_blocks), 1 << 20);
    int32_t next = 1;
    for (int32_t r = 0; r < rows; ++r) {
      sequence.push_back(std::min<int32_t>(r, static_cast<int32_t>(sequences) - 1));
      int32_t* own = table.data() + sequence.back() * most_blocks;
      own[0] = 0;
      for (int32_t b = 1; b * kBlockSize < length[static_cast<size_t>(r)]; ++b)
        if (own[b] == 1 << 20) own[b] = next++;
    }
    blocks = next;
    for (int32_t& block : table)  // 1009 is a prime
      if (block > 0 && block < next) block = block * 1009 % (next - 1) + 1;
  }
  PagedRows on_cpu(Tensors& make) const {
    return {make.ints({sequences, most_blocks}, table), make.ints({rows()}, sequence),
            make.ints({rows()}, length)};
  }
  PagedRows on_gpu(GpuTensors& gpu) const {
    return {gpu.ints(table).reshape({sequences, most_blocks}), gpu.ints(sequence),
            gpu.ints(length)};
  }
  int64_t rows() const { return static_cast<int64_t>(length.size()); }
  // NaN to all entries of the cache that no row sees.
  void poison(const Tensor& cache) const {
    std::vector<bool> seen(static_cast<size_t>(blocks * kBlockSize));
    for (size_t r = 0; r < length.size(); ++r)
      for (int64_t u = 0; u < length[r]; ++u) {
        const auto at = static_cast<size_t>(sequence[r] * most_blocks + u / kBlockSize);
        seen[static_cast<size_t>(table[at] * kBlockSize + u % kBlockSize)] = true;
      }
    for (int64_t i = 0; i < cache.rows(); ++i)
      if (!seen[static_cast<size_t>(i)])
        std::fill_n(cache.row<float>(i), cache.cols(), std::numeric_limits<float>::quiet_NaN());
  }
};

// A cache [blocks, 16, width] on the device in the shape of the host's.
struct Caches {
  Tensor cpu, gpu;
  Caches(Tensors& make, GpuTensors& on_gpu, DType dtype, const Batch& batch, int64_t width)
      : cpu(make.normal(DType::f32, {batch.blocks, kBlockSize, width})) {
    test::round_to(dtype, cpu);
    batch.poison(cpu);
    gpu = on_gpu.upload(cpu, dtype);
  }
};

void check_mla(Context& ctx, DType dtype, Layout layout, const Batch& batch, int64_t heads,
               int64_t latent, int64_t rope, double bound) {
  CAPTURE(heads, latent, rope, static_cast<int>(layout));
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(1);
  const int64_t n = batch.rows();
  const Caches cache(make, on_gpu, dtype, batch, latent + rope);
  const Tensor q = make.normal(DType::f32, {n, heads, latent}, 0.6);
  const Tensor r = make.normal(DType::f32, {n, heads, rope}, 0.6);
  for (const Tensor& t : {q, r}) test::round_to(dtype, t);
  const Tensor o = make.poisoned(DType::f32, {n, heads, latent});
  const Tensor gpu_o = on_gpu.poisoned(o, dtype, layout);
  mla_decode_attention(host, o, q, r, cache.cpu, batch.on_cpu(make), 0.2);
  mla_decode_attention(ctx, gpu_o, on_gpu.upload(q, dtype, layout), on_gpu.upload(r, dtype, layout),
                       cache.gpu, batch.on_gpu(on_gpu), 0.2);
  const Tensor flat = o.reshape({n * heads, latent});
  CHECK(test::relative_difference(on_gpu.download(make, gpu_o, layout), flat) < bound);
}

void check_gqa(Context& ctx, DType dtype, Layout layout, const Batch& batch, int64_t heads,
               int64_t kv, int64_t dim, double bound) {
  CAPTURE(heads, kv, dim, static_cast<int>(layout));
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(1);
  const int64_t n = batch.rows();
  const Caches cache(make, on_gpu, dtype, batch, 2 * kv * dim);
  const Tensor q = make.normal(DType::f32, {n, heads, dim});
  test::round_to(dtype, q);
  const Tensor o = make.poisoned(DType::f32, {n, heads, dim});
  const Tensor gpu_o = on_gpu.poisoned(o, dtype, layout);
  gqa_decode_attention(host, o, q, cache.cpu, batch.on_cpu(make), 0.3);
  gqa_decode_attention(ctx, gpu_o, on_gpu.upload(q, dtype, layout), cache.gpu, batch.on_gpu(on_gpu),
                       0.3);
  const Tensor flat = o.reshape({n * heads, dim});
  CHECK(test::relative_difference(on_gpu.download(make, gpu_o, layout), flat) < bound);
}

TEST_CASE("cuda: decode attention is the CPU's", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const Layout layout : test::kLayouts) {
    for (const DType dtype : test::kDTypes) {
      const double bound = test::bound_in(dtype, 5e-6, 4e-3);  // the last rounding
      const Batch batch;
      check_mla(*ctx, dtype, layout, batch, 1, 13, 6, bound);
      check_mla(*ctx, dtype, layout, batch, 5, 64, 16, bound);
      check_mla(*ctx, dtype, layout, batch, 16, 512, 64, bound);
      check_gqa(*ctx, dtype, layout, batch, 3, 3, 9, bound);
      check_gqa(*ctx, dtype, layout, batch, 6, 2, 64, bound);
      check_gqa(*ctx, dtype, layout, batch, 20, 2, 128, bound);
    }
  }
}

// Pages have 16 tokens, tiles 64, and so few rows are split into chunks of 256.
TEST_CASE("cuda: decode attention where pages, tiles and chunks end", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  const Batch edges({1, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1025, 768});
  const Batch deep({4095, 4096, 4097, 2});
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const double bound = test::bound_in(dtype, 0.0, 8e-3);  // of the weights, then of the result
    for (const Batch& batch : {edges, deep}) {
      for (const int64_t heads : {1, 17, 65, 128})
        if (!test::quick() || (heads == 17 || heads == 128))
          check_mla(*ctx, dtype, Layout::aligned_slice, batch, heads, 512, 64, bound);
      check_gqa(*ctx, dtype, Layout::aligned_slice, batch, 9, 3, 64, bound);
      check_gqa(*ctx, dtype, Layout::dense, batch, 17, 1, 64, bound);
      check_gqa(*ctx, dtype, Layout::dense, batch, 7, 7, 128, bound);
    }
  }
}

// Row 1 of the batch, among all and alone.
void check_alone(Context& ctx, bool mla, int64_t heads, int64_t width) {
  CAPTURE(mla, width);
  Tensors make;
  GpuTensors on_gpu(ctx);
  const Batch batch({64, 1173, 150, 1});
  const int64_t key = mla ? width : 64, value = mla ? width - 16 * (width > 80 ? 4 : 1) : 64;
  const Caches cache(make, on_gpu, DType::bf16, batch, width);
  const Tensor q = make.normal(DType::f32, {4, heads, key}),
               like = make.zeros(DType::f32, {4, heads, value});
  const Tensor gpu_q = on_gpu.upload(q, DType::bf16), all = on_gpu.poisoned(like, DType::bf16);
  const Tensor one = on_gpu.poisoned(like.slice_rows(0, 1), DType::bf16);
  const PagedRows rows = batch.on_gpu(on_gpu);
  const auto attend = [&](const Tensor& o, int64_t row, int64_t count) {
    const Tensor part = gpu_q.slice_rows(row, count);
    const PagedRows some = {rows.block_table, rows.row_sequence.slice_rows(row, count),
                            rows.context_length.slice_rows(row, count)};
    if (mla)
      mla_decode_attention(ctx, o, part.slice_cols(0, value), part.slice_cols(value, key - value),
                           cache.gpu, some, 0.2);
    else
      gqa_decode_attention(ctx, o, part, cache.gpu, some, 0.2);
  };
  attend(all, 0, 4);
  attend(one, 1, 1);
  CHECK(test::same_bits(on_gpu.download(make, one), on_gpu.download(make, all.slice_rows(1, 1))));
}

TEST_CASE("cuda: a row's numbers do not depend on its batch", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  check_alone(*ctx, true, 5, 80);
  check_alone(*ctx, true, 16, 576);
  check_alone(*ctx, false, 9, 3 * 128);
}

#ifdef TEMPER_WITH_CUDA
// Rows of one sequence, the last token's first, whose past the kernel in front writes: outside a
// recording nothing of it may be read before that is done, though the next may have begun.
TEST_CASE("cuda: decode attention waits for its own step's entries", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  const DType narrow = DType::bf16;
  const int64_t n = 100, heads = 16, latent = 512, rope = 64;
  Tensors make;
  GpuTensors on_gpu(*ctx);
  Context host(2);
  Batch batch;
  batch.sequences = 1, batch.blocks = batch.most_blocks = (n + kBlockSize - 1) / kBlockSize;
  batch.table.clear(), batch.length.clear();
  for (int32_t b = 0; b < batch.blocks; ++b) batch.table.push_back(b);
  for (int32_t t = 0; t < n; ++t) batch.length.push_back(static_cast<int32_t>(n) - t);
  batch.sequence.assign(static_cast<size_t>(n), 0);
  const Tensor cache = make.normal(DType::f32, {batch.blocks, kBlockSize, latent + rope});
  const Tensor q = make.normal(DType::f32, {n, heads, latent}, 0.6);
  const Tensor r = make.normal(DType::f32, {n, heads, rope}, 0.6);
  for (const Tensor& t : {cache, q, r}) test::round_to(narrow, t);
  const Tensor o = make.poisoned(DType::f32, {n, heads, latent});
  mla_decode_attention(host, o, q, r, cache, batch.on_cpu(make), 0.2);
  const Tensor written = on_gpu.upload(cache, narrow);
  const Tensor gpu_q = on_gpu.upload(q, narrow), gpu_r = on_gpu.upload(r, narrow);
  const PagedRows rows = batch.on_gpu(on_gpu);
  for (int i = 0; i < 2; ++i) {  // to load a kernel for the first time waits for all others
    const Tensor gpu_cache = on_gpu.poisoned(cache, narrow), gpu_o = on_gpu.poisoned(o, narrow);
    test::slow_copy(*ctx, gpu_cache, written);
    mla_decode_attention(*ctx, gpu_o, gpu_q, gpu_r, gpu_cache, rows, 0.2);
    CHECK(test::relative_difference(on_gpu.download(make, gpu_o), o.reshape({n * heads, latent})) <
          4e-3);
  }
}
#endif

void check_write(Context& ctx, DType dtype, Layout layout, int64_t width) {
  Tensors make;
  GpuTensors on_gpu(ctx);
  Context host(1);
  const Tensor cache = make.normal(DType::f32, {6, kBlockSize, width});
  test::round_to(dtype, cache);
  const Tensor gpu_cache = on_gpu.upload(cache, dtype);
  const Tensor values = make.normal(DType::f32, {5, width});
  test::round_to(dtype, values);
  const std::vector<int32_t> slots = {95, 0, 17, 3, 64};
  cache_write(host, cache, values, make.ints({5}, slots));
  cache_write(ctx, gpu_cache, on_gpu.upload(values, dtype, layout), on_gpu.ints(slots));
  const Tensor flat = cache.reshape({6 * kBlockSize, width});
  CHECK(test::relative_difference(on_gpu.download(make, gpu_cache), flat) == 0.0);
}

TEST_CASE("cuda: cache entries are written where the CPU writes them", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  for (const Layout layout : test::kLayouts)
    for (const DType dtype : test::kDTypes)
      for (const int64_t width : {1, 37, 576}) check_write(*ctx, dtype, layout, width);
}

}  // namespace
}  // namespace temper
