// Times the CPU ops at the shapes of SmolLM2-135M and of a small model, beside Eigen's products.
// Usage: bench_ops [threads]. Time is the process's CPU time over its threads, the median of
// several batches: what the wall clock shows where nothing else runs. Not run by the tests.
#include <Eigen/Core>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <vector>

#include "core/context.h"
#include "model/ops/adamw.h"
#include "model/ops/attention.h"
#include "model/ops/decode_attention.h"
#include "model/ops/linear.h"
#include "model/ops/log_prob.h"
#include "model/ops/rms_norm.h"
#include "model/ops/swiglu.h"
#include "tests/support/gradient_check.h"

namespace temper {
namespace {

using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Seconds a thread of one call: the median of nine batches. A batch is long against the tick by
// which the system accounts for the CPU time of other threads.
double median_seconds(int threads, const std::function<void()>& body) {
  constexpr double kBatch = 0.08;
  const auto batch = [&](int64_t calls) {
    const double start = cpu_seconds();
    for (int64_t i = 0; i < calls; ++i) body();
    return (cpu_seconds() - start) / static_cast<double>(calls);
  };
  const double guess = std::min(batch(1), batch(2));
  const int64_t calls = 1 + static_cast<int64_t>(kBatch / std::max(guess, 1e-6));
  std::vector<double> seconds(9);
  for (double& s : seconds) s = batch(calls);
  std::nth_element(seconds.begin(), seconds.begin() + 4, seconds.end());
  return seconds[4] / threads;
}

OwnedTensor random_tensor(std::initializer_list<int64_t> dims, uint64_t seed) {
  OwnedTensor t = allocate(DType::f32, dims);
  test::fill_normal(t.view, seed);
  return t;
}

// Eigen's own y = x w^T on one thread, times the threads we use: more than it could reach.
double eigen_gflops(int64_t t, int64_t n, int64_t k, int threads) {
  const Rows x = Rows::Random(t, k), w = Rows::Random(n, k);
  Rows y(t, n);
  const double seconds = median_seconds(1, [&] { y.noalias() = x * w.transpose(); });
  return 2e-9 * static_cast<double>(t * n * k) / seconds * threads;
}

void bench_linear(Context& ctx, const char* name, int64_t t, int64_t n, int64_t k) {
  const OwnedTensor x = random_tensor({t, k}, 1), w = random_tensor({n, k}, 2);
  const OwnedTensor y = random_tensor({t, n}, 3), dx = random_tensor({t, k}, 4);
  const OwnedTensor dw = random_tensor({n, k}, 5);
  const double flops = 2e-9 * static_cast<double>(t * n * k);
  const double forward =
      median_seconds(ctx.pool.size(), [&] { linear_forward(ctx, y.view, x.view, w.view); });
  const double by_x = median_seconds(ctx.pool.size(), [&] {
    linear_backward(ctx, {dx.view, {}, {}}, y.view, x.view, w.view);
  });
  const double by_w = median_seconds(ctx.pool.size(), [&] {
    linear_backward(ctx, {{}, dw.view, {}}, y.view, x.view, w.view);
  });
  std::printf("%-22s %5ld %6ld %5ld %8.1f %8.1f %8.1f %10.1f %8.1f\n", name, long{t}, long{n},
              long{k}, flops / forward, flops / by_x, flops / by_w,
              eigen_gflops(t, n, k, ctx.pool.size()), 4e-9 * static_cast<double>(n * k) / forward);
}

void bench_linears(Context& ctx) {
  std::printf(
      "linear                     T      N     K  forward       dx       dw  "
      "Eigen x thr   w GB/s   (GFLOPS)\n");
  bench_linear(ctx, "1024 cubed", 1024, 1024, 1024);
  bench_linear(ctx, "smollm2 q, o", 1024, 576, 576);
  bench_linear(ctx, "smollm2 k, v", 1024, 192, 576);
  bench_linear(ctx, "smollm2 gate, up", 1024, 1536, 576);
  bench_linear(ctx, "smollm2 down", 1024, 576, 1536);
  bench_linear(ctx, "smollm2 head chunk", 128, 49152, 576);
  for (int64_t t : {1, 4, 8, 16, 32}) bench_linear(ctx, "smollm2 gate, decode", t, 1536, 576);
  for (int64_t t : {1, 16}) bench_linear(ctx, "smollm2 head, decode", t, 49152, 576);
  bench_linear(ctx, "tiny projection", 512, 128, 128);
  bench_linear(ctx, "tiny mlp", 512, 384, 128);
}

void bench_grouped(Context& ctx, int64_t rows, int64_t experts, int64_t n, int64_t k) {
  const OwnedTensor x = random_tensor({rows, k}, 1), w = random_tensor({experts, n, k}, 2);
  const OwnedTensor y = random_tensor({rows, n}, 3), dx = random_tensor({rows, k}, 4);
  const OwnedTensor dw = random_tensor({experts, n, k}, 5);
  const OwnedTensor offsets = allocate(DType::i32, {experts + 1});
  for (int64_t e = 0; e <= experts; ++e)
    offsets.view.get<int32_t>()[e] = static_cast<int32_t>(rows * e / experts);
  const double flops = 2e-9 * static_cast<double>(rows * n * k);
  const double forward = median_seconds(
      ctx.pool.size(), [&] { grouped_linear_forward(ctx, y.view, x.view, w.view, offsets.view); });
  const double backward = median_seconds(ctx.pool.size(), [&] {
    grouped_linear_backward(ctx, {dx.view, dw.view, {}}, y.view, x.view, w.view, offsets.view);
  });
  std::printf(
      "grouped linear, %4ld rows, %3ld experts of [%ld, %ld]: forward %.1f, backward %.1f GFLOPS\n",
      long{rows}, long{experts}, long{n}, long{k}, flops / forward, 2 * flops / backward);
}

void bench_attention(Context& ctx, int64_t sequences, int64_t length) {
  const int64_t t = sequences * length, heads = 9, kv = 3, d = 64;
  std::vector<int32_t> cu;
  for (int64_t s = 0; s <= sequences; ++s) cu.push_back(static_cast<int32_t>(s * length));
  const OwnedTensor q = random_tensor({t, heads, d}, 1), k = random_tensor({t, kv, d}, 2);
  const OwnedTensor v = random_tensor({t, kv, d}, 3), o = random_tensor({t, heads, d}, 4);
  const OwnedTensor d_o = random_tensor({t, heads, d}, 5), lse = random_tensor({t, heads}, 6);
  const OwnedTensor dq = random_tensor({t, heads, d}, 7), dk = random_tensor({t, kv, d}, 8);
  const OwnedTensor dv = random_tensor({t, kv, d}, 9);
  const AttentionShape shape{cu, 0.125};
  // Half of the square is seen: two products forward, five backward.
  const double product = 1e-9 * static_cast<double>(t * heads * d * length);
  const double forward = median_seconds(ctx.pool.size(), [&] {
    attention_forward(ctx, o.view, lse.view, q.view, k.view, v.view, shape);
  });
  const double backward = median_seconds(ctx.pool.size(), [&] {
    attention_backward(ctx, {dq.view, dk.view, dv.view}, d_o.view,
                       {q.view, k.view, v.view, o.view, lse.view}, shape);
  });
  std::printf(
      "attention, %ld x %4ld, 9/3 heads of 64: forward %.1f, backward %.1f GFLOPS (causal)\n",
      long{sequences}, long{length}, 2 * product / forward, 5 * product / backward);
}

void bench_decode(Context& ctx, int64_t rows, int64_t length) {
  const int64_t heads = 9, kv = 3, d = 64, size = 16, blocks = (length + size - 1) / size;
  const OwnedTensor cache = random_tensor({rows * blocks, size, 2 * kv * d}, 1);
  const OwnedTensor q = random_tensor({rows, heads, d}, 2), o = random_tensor({rows, heads, d}, 3);
  const OwnedTensor table = allocate(DType::i32, {rows, blocks});
  const OwnedTensor sequence = allocate(DType::i32, {rows}), context = allocate(DType::i32, {rows});
  for (int64_t i = 0; i < rows * blocks; ++i)
    table.view.get<int32_t>()[i] = static_cast<int32_t>(i * 7 % (rows * blocks));
  for (int64_t i = 0; i < rows; ++i) {
    sequence.view.get<int32_t>()[i] = static_cast<int32_t>(i);
    context.view.get<int32_t>()[i] = static_cast<int32_t>(length);
  }
  const PagedRows paged{table.view, sequence.view, context.view};
  const double seconds = median_seconds(ctx.pool.size(), [&] {
    gqa_decode_attention(ctx, o.view, q.view, cache.view, paged, 0.125);
  });
  const double bytes = 4e-9 * static_cast<double>(rows * length * 2 * kv * d);
  std::printf("gqa decode, %ld rows over %4ld tokens: %.0f us, %.1f GB/s of cache\n", long{rows},
              long{length}, 1e6 * seconds, bytes / seconds);
}

void bench_streams(Context& ctx) {
  const int64_t t = 1024, width = 1536, vocabulary = 49152, chunk = 128, n = int64_t{1} << 24;
  const OwnedTensor gate = random_tensor({t, width}, 1), up = random_tensor({t, width}, 2);
  const OwnedTensor y = random_tensor({t, width}, 3), rstd = random_tensor({t}, 4);
  const OwnedTensor weight = random_tensor({width}, 5);
  const auto report = [](const char* name, double bytes, double seconds) {
    std::printf("%-40s %8.0f us %6.1f GB/s\n", name, 1e6 * seconds, 1e-9 * bytes / seconds);
  };
  const double each = 4.0 * static_cast<double>(t * width);
  report("swiglu forward [1024, 1536]", 3 * each,
         median_seconds(ctx.pool.size(), [&] { swiglu_forward(ctx, y.view, gate.view, up.view); }));
  report("rms_norm forward [1024, 1536]", 2 * each, median_seconds(ctx.pool.size(), [&] {
           rms_norm_forward(ctx, y.view, {rstd.view}, gate.view, weight.view, 1e-5);
         }));
  const OwnedTensor logits = random_tensor({chunk, vocabulary}, 6);
  const OwnedTensor targets = allocate(DType::i32, {chunk});
  const OwnedTensor a = random_tensor({chunk}, 7), b = random_tensor({chunk}, 8);
  const OwnedTensor c = random_tensor({chunk}, 9);
  report("log_prob forward, entropy [128, 49152]", 4.0 * static_cast<double>(chunk * vocabulary),
         median_seconds(ctx.pool.size(), [&] {
           log_prob_forward(ctx, {a.view, b.view, c.view}, logits.view, targets.view, 1.0);
         }));
  const OwnedTensor w = random_tensor({n}, 10), m = random_tensor({n}, 11);
  const OwnedTensor g = random_tensor({n}, 12), v = allocate(DType::f32, {n});
  report("adamw, 16 Mi weights, f32 moments", 28.0 * static_cast<double>(n),
         median_seconds(ctx.pool.size(), [&] {
           adamw_step(ctx, {w.view, m.view, v.view, g.view}, {});
         }));
  const OwnedTensor mh = allocate(DType::bf16, {n}), vh = allocate(DType::bf16, {n});
  report("adamw, 16 Mi weights, bf16 moments", 20.0 * static_cast<double>(n),
         median_seconds(ctx.pool.size(), [&] {
           adamw_step(ctx, {w.view, mh.view, vh.view, g.view}, {});
         }));
}

}  // namespace
}  // namespace temper

int main(int argc, char** argv) {
  temper::Context ctx(argc > 1 ? std::atoi(argv[1]) : 0);
  std::printf("%d threads\n", ctx.pool.size());
  temper::bench_linears(ctx);
  temper::bench_grouped(ctx, 2048, 32, 128, 128);
  temper::bench_grouped(ctx, 64, 32, 128, 128);
  for (int64_t length : {256, 1024}) temper::bench_attention(ctx, 4, length);
  for (int64_t length : {128, 512}) temper::bench_decode(ctx, 16, length);
  temper::bench_streams(ctx);
}
