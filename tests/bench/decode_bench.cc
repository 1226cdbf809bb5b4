// Checks and times decode attention on a GPU:
//   build/bench_decode [check|time|plain [mla|gqa]]
// First the kernels of the card against the plain ones and, for some heads, sums in f64, on random
// numbers: odd heads and lengths, pages that sequences share, NaN in every slot of the cache that
// no row sees, poisoned outputs, twice for the bits. Then times: medians by CUDA events with a cold
// L2 cache. `plain` times the plain kernels too.
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>

#include "model/ops/decode_attention.h"
#include "tests/bench/bench_main.h"
#include "tests/bench/gpu_bench.h"

using namespace temper;
using namespace temper::bench;

namespace {

struct Shape {
  bool mla;
  int64_t heads, kv_heads, dim;  // MLA: 1, 512
  int64_t key_dim() const { return mla ? dim + 64 : dim; }
  int64_t width() const { return mla ? dim + 64 : 2 * kv_heads * dim; }
};
constexpr Shape mla_of(int64_t heads) {
  return {true, heads, 1, 512};
}

// Rows that see these lengths, `each` neighbours of the same sequence; the first `shared` pages are
// the same in all sequences.
struct Batch {
  std::vector<int32_t> lengths;
  int64_t each = 1, shared = 0, block_size = 16, spare_columns = 0;
};

struct Problem {
  Shape shape;
  Batch batch;
  int64_t rows, columns, blocks;
  std::vector<int32_t> table, sequence;
  Buffer on_table, on_sequence, on_lengths;
  std::vector<uint16_t> q_bits, cache_bits;
  Device16 q, cache, o;  // q: [N * H, key_dim + 8]

  Problem(const Shape& s, const Batch& b, bool poison) : shape(s), batch(b) {
    rows = static_cast<int64_t>(b.lengths.size());
    const int64_t sequences = (rows + b.each - 1) / b.each;
    int64_t longest = 0;
    for (int32_t length : b.lengths) longest = std::max<int64_t>(longest, length);
    const int64_t used = (longest + b.block_size - 1) / b.block_size;
    columns = used + b.spare_columns;
    blocks = b.shared + sequences * used + 3;
    place(sequences, used);
    const size_t count = static_cast<size_t>(blocks * b.block_size * s.width());
    cache_bits = random_bf16(poison ? count : (size_t{1} << 23) + 12345, 5);
    if (poison) poison_cache();
    cache = make(cache_bits, blocks * b.block_size, s.width(), s.width());
    const int64_t stride = s.key_dim() + 8;
    q_bits = random_bf16(static_cast<size_t>(rows * s.heads * stride), 6);
    q = make(q_bits, rows * s.heads, s.key_dim(), stride);
    o = make(std::vector<uint16_t>(1 << 16, 0xFFFF), rows * s.heads, s.dim, s.dim + 8);
  }

  double scale() const { return shape.mla ? 0.072 : 0.11; }

  // Scattered blocks for every sequence; table entries behind the end lead nowhere.
  void place(int64_t sequences, int64_t used) {
    table.assign(static_cast<size_t>(sequences * columns), 1 << 26);
    int64_t step = 7919;
    const int64_t own = blocks - batch.shared;
    while (std::gcd(step, own) != 1) ++step;
    for (int64_t s = 0, next = 0; s < sequences; ++s)
      for (int64_t i = 0; i < used; ++i, ++next)
        table[static_cast<size_t>(s * columns + i)] =
            static_cast<int32_t>(i < batch.shared ? i : batch.shared + next * step % own);
    for (int64_t r = 0; r < rows; ++r) sequence.push_back(static_cast<int32_t>(r / batch.each));
    on_table = to_device(table), on_sequence = to_device(sequence);
    on_lengths = to_device(batch.lengths);
  }
  int64_t slot(int64_t row, int64_t token) const {
    const auto at = sequence[static_cast<size_t>(row)] * columns + token / batch.block_size;
    return table[static_cast<size_t>(at)] * batch.block_size + token % batch.block_size;
  }
  void poison_cache() {
    std::vector<char> seen(static_cast<size_t>(blocks * batch.block_size));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t u = 0; u < batch.lengths[static_cast<size_t>(r)]; ++u)
        seen[static_cast<size_t>(slot(r, u))] = 1;
    const auto width = static_cast<size_t>(shape.width());
    for (size_t i = 0; i < seen.size(); ++i)
      if (!seen[i])
        std::fill_n(cache_bits.begin() + static_cast<std::ptrdiff_t>(i * width), width, 0x7FC0);
  }

  void run(Context& ctx, bool plain) {
    const int major = ctx.cuda->properties.major;
    if (plain) ctx.cuda->properties.major = 7;  // cards without tensor cores for bf16
    const auto ints = [](const Buffer& b, std::initializer_list<int64_t> dims) {
      return make_tensor(b.data(), DType::i32, dims, Device::cuda);
    };
    const int64_t sequences = static_cast<int64_t>(table.size()) / columns;
    const PagedRows paged = {ints(on_table, {sequences, columns}), ints(on_sequence, {rows}),
                             ints(on_lengths, {rows})};
    const auto heads = [&](const Tensor& t) {
      Tensor view = make_tensor(t.data, DType::bf16, {rows, shape.heads, t.cols()}, Device::cuda);
      view.row_stride = t.row_stride;
      return view;
    };
    const Tensor pool = make_tensor(cache.view.data, DType::bf16,
                                    {blocks, batch.block_size, shape.width()}, Device::cuda);
    const Tensor all = heads(q.view), to = heads(o.view);
    if (shape.mla)
      mla_decode_attention(ctx, to, all.slice_cols(0, shape.dim), all.slice_cols(shape.dim, 64),
                           pool, paged, scale());
    else
      gqa_decode_attention(ctx, to, all, pool, paged, scale());
    ctx.cuda->properties.major = major;
  }

  std::vector<uint16_t> result(Context& ctx, bool plain) {
    std::vector<uint16_t> bits(o.buffer.bytes() / 2);
    cuda::check(cudaMemset(o.buffer.data(), 0xFF, o.buffer.bytes()));
    run(ctx, plain);
    cuda::check(cudaStreamSynchronize(ctx.cuda->stream));
    cuda::check(cudaMemcpy(bits.data(), o.buffer.data(), o.buffer.bytes(), cudaMemcpyDeviceToHost));
    return bits;
  }

  // One head's result in f64.
  std::vector<double> exact(int64_t row, int64_t head) const {
    const int64_t length = batch.lengths[static_cast<size_t>(row)], kv = shape.kv_heads;
    const int64_t sharer = head / (shape.heads / kv), key = shape.mla ? 0 : sharer * shape.dim;
    const int64_t value = shape.mla ? 0 : (kv + sharer) * shape.dim;
    const auto number = [&](int64_t token, int64_t i) {
      return double(widen(cache_bits[size_t(slot(row, token) * shape.width() + i)]));
    };
    const uint16_t* query = &q_bits[size_t((row * shape.heads + head) * (shape.key_dim() + 8))];
    std::vector<double> score(static_cast<size_t>(length)), out(static_cast<size_t>(shape.dim));
    double top = -1e300, sum = 0;
    for (int64_t u = 0; u < length; ++u) {
      double dot = 0;
      for (int64_t i = 0; i < shape.key_dim(); ++i)
        dot += double(widen(query[i])) * number(u, key + i);
      score[size_t(u)] = dot * scale(), top = std::max(top, dot * scale());
    }
    for (double& x : score) sum += x = std::exp(x - top);
    for (int64_t u = 0; u < length; ++u)
      for (int64_t i = 0; i < shape.dim; ++i)
        out[size_t(i)] += score[size_t(u)] / sum * number(u, value + i);
    return out;
  }
};

bool check(Context& ctx, const char* name, const Shape& shape, const Batch& batch) {
  Problem p(shape, batch, true);
  const std::vector<uint16_t> plain = p.result(ctx, true), got = p.result(ctx, false);
  bool same_bits = true;
  for (int i = 0; i < 3; ++i) same_bits = same_bits && p.result(ctx, false) == got;
  double error = 0, norm = 0, exact_error = 0, exact_norm = 0;
  int64_t wrong = 0, touched = 0;
  const int64_t stride = shape.dim + 8, all = p.rows * shape.heads;
  for (int64_t r = 0; r < all; ++r)
    for (int64_t i = 0; i < stride; ++i) {
      const uint16_t bits = got[size_t(r * stride + i)];
      if (i >= shape.dim) {
        touched += bits != 0xFFFF;
        continue;
      }
      const double x = double(widen(bits)), y = double(widen(plain[size_t(r * stride + i)]));
      wrong += !(std::abs(x - y) <= 0.02 * std::abs(y) + 0.02);
      error += (x - y) * (x - y), norm += y * y;
    }
  for (int64_t s = 0; s < 6; ++s) {
    const int64_t row = s * 5 % p.rows, head = s * 7 % shape.heads;
    const std::vector<double> exact = p.exact(row, head);
    for (int64_t i = 0; i < shape.dim; ++i) {
      const double x = double(widen(got[size_t((row * shape.heads + head) * stride + i)]));
      exact_error += (x - exact[size_t(i)]) * (x - exact[size_t(i)]);
      exact_norm += exact[size_t(i)] * exact[size_t(i)];
    }
  }
  const double from_plain = std::sqrt(error / norm), from_f64 = std::sqrt(exact_error / exact_norm);
  const bool good = wrong == 0 && touched == 0 && same_bits && from_plain < 6e-3 && from_f64 < 5e-3;
  std::printf(
      "%s %-24s %s H %3ld/%ld rows %4ld: %ld wrong, %ld touched, from plain %.1e, f64 %.1e, %s\n",
      good ? "ok   " : "WRONG", name, shape.mla ? "MLA" : "GQA", long(shape.heads),
      long(shape.kv_heads), long(p.rows), long(wrong), long(touched), from_plain, from_f64,
      same_bits ? "same bits" : "OTHER BITS");
  std::fflush(stdout);
  return good;
}

bool check_all(Context& ctx, const std::string& kind) {
  const std::vector<int32_t> odd = {1,  2,  15, 16,  17,  31,  32,  33,  48,  63,   64,  65,
                                    79, 80, 81, 127, 128, 129, 255, 256, 257, 1000, 511, 513};
  std::vector<int32_t> many, rising;
  for (int32_t i = 0; i < 300; ++i) many.push_back(1 + i * 37 % 301);
  for (int32_t i = 0; i < 70; ++i) rising.push_back(200 + i);
  const std::vector<int32_t> deep = {4095, 4096, 4097, 1, 2048, 3000, 17};
  bool good = true;
  std::vector<Shape> shapes;
  for (const int64_t heads : {1, 8, 16, 17, 63, 64, 65, 128, 192, 256})
    shapes.push_back(mla_of(heads));
  for (const auto& [heads, kv] : {std::pair{9, 3}, {14, 2}, {4, 4}, {32, 1}, {24, 8}})
    for (const int64_t dim : {64, 128}) shapes.push_back({false, heads, kv, dim});
  for (const Shape& s : shapes) {
    if (kind == (s.mla ? "gqa" : "mla")) continue;
    good = check(ctx, "odd lengths", s, {.lengths = odd}) && good;
    good = check(ctx, "one row", s, {.lengths = {1234}}) && good;
    if (s.heads > 64 && s.heads != 128) continue;
    good = check(ctx, "many rows, blocks of 32", s, {.lengths = many, .block_size = 32}) && good;
    good = check(ctx, "rows of a prompt, shared", s,
                 {.lengths = rising, .each = 35, .shared = 5, .spare_columns = 4}) &&
           good;
    if (s.heads == 63 || s.heads == 17) continue;
    good = check(ctx, "deep", s, {.lengths = deep, .spare_columns = 9}) && good;
  }
  std::printf(good ? "all agree\n" : "WRONG\n");
  return good;
}

void time_shape(Context& ctx, const Shape& s, int64_t rows, int32_t length, const Buffer& flush,
                bool plain) {
  std::vector<int32_t> lengths(static_cast<size_t>(rows), length);
  Problem p(s, {.lengths = lengths}, false);
  const double n = double(rows), h = double(s.heads), u = double(length);
  const double bytes = 2 * n * (u * double(s.width()) + h * double(s.key_dim() + s.dim));
  const double flops = 2 * n * h * u * double(s.key_dim() + s.dim);
  std::printf("%s batch %3ld, heads %3ld/%ld, dim %3ld, context %4d:", s.mla ? "MLA" : "GQA",
              long(rows), long(s.heads), long(s.kv_heads), long(s.dim), length);
  for (const bool slow : {false, true}) {
    if (slow && !plain) continue;
    const float ms = median_ms(ctx, flush, slow ? 3 : 21, [&] { p.run(ctx, slow); });
    std::printf("%s %7.1f us, %5.2f TB/s, %4.0f TFLOPS", slow ? "  | plain" : "", double(ms) * 1e3,
                bytes / double(ms) * 1e-9, flops / double(ms) * 1e-9);
  }
  std::printf("\n");
  std::fflush(stdout);
}

// The same kernels as they run in generation: one after the other for the caches of many layers.
void time_layers(Context& ctx, const Shape& s, int64_t rows, int32_t length, int layers) {
  const std::vector<int32_t> lengths(static_cast<size_t>(rows), length);
  std::vector<Problem> all;
  for (int i = 0; i < layers; ++i) all.emplace_back(s, Batch{.lengths = lengths}, false);
  all[0].run(ctx, false);  // scratch and modules come before
  cudaStream_t stream = ctx.cuda->stream;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t replay = nullptr;
  cuda::check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (Problem& p : all) p.run(ctx, false);
  cuda::check(cudaStreamEndCapture(stream, &graph));
  cuda::check(cudaGraphInstantiate(&replay, graph, 0));
  const Buffer nothing(256, Device::cuda);
  const float ms =
      median_ms(ctx, nothing, 11, [&] { cuda::check(cudaGraphLaunch(replay, stream)); });
  cuda::check(cudaGraphExecDestroy(replay));
  cuda::check(cudaGraphDestroy(graph));
  const double n = double(rows), h = double(s.heads), each = double(ms) / layers;
  const double bytes =
      2 * n * (double(length) * double(s.width()) + h * double(s.key_dim() + s.dim));
  std::printf(
      "%s batch %3ld, heads %3ld/%ld, dim %3ld, context %4d, in a graph of %d: %7.1f us, %5.2f "
      "TB/s\n",
      s.mla ? "MLA" : "GQA", long(rows), long(s.heads), long(s.kv_heads), long(s.dim), length,
      layers, each * 1e3, bytes / each * 1e-9);
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "", kind = argc > 2 ? argv[2] : "";
  Context ctx(1, Device::cuda);
  std::printf("%s\n", ctx.cuda->properties.name);
  if (what != "time" && what != "plain" && !check_all(ctx, kind)) return 1;
  if (what == "check") return 0;
  const Buffer flush(size_t{256} << 20, Device::cuda);
  const auto time = [&](const Shape& s, int64_t rows, int32_t length) {
    if (kind != (s.mla ? "gqa" : "mla")) time_shape(ctx, s, rows, length, flush, what == "plain");
  };
  for (const int64_t heads : {16, 64, 128}) time(mla_of(heads), 128, 4096);
  time(mla_of(16), 64, 8192);
  for (const int64_t heads : {8, 16}) time(mla_of(heads), 256, 512);
  for (const int64_t rows : {64, 256}) time(mla_of(8), rows, 384);
  time(mla_of(16), 8, 4096);
  const Shape smollm2 = {false, 9, 3, 64}, qwen = {false, 14, 2, 64}, large = {false, 32, 8, 128};
  for (const int32_t length : {100, 228, 356}) time(smollm2, 512, length);
  for (const int32_t length : {356, 2048}) time(qwen, 256, length);
  time(large, 64, 4096);
  if (kind != "gqa") {
    time_layers(ctx, mla_of(8), 256, 384, 8);
    time_layers(ctx, mla_of(16), 64, 384, 16);
  }
  if (kind != "mla") {
    time_layers(ctx, smollm2, 512, 100, 16);
    time_layers(ctx, smollm2, 512, 228, 8);
    time_layers(ctx, smollm2, 512, 356, 8);
  }
  time(mla_of(8), 132, 16);  // what a call costs beside its bytes
  time(smollm2, 512, 16);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::main_of(run, argc, argv);
}
