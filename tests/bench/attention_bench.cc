// Checks and times causal attention on a Hopper GPU:
//   build/bench_attention [check|time]
// First against the path of other cards, on random numbers with poisoned outputs, twice for the
// bits. Then TFLOPS of each shape, counted causally as in docs/performance.md: medians by events.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/cuda/runtime.h"
#include "model/ops/attention.h"
#include "tests/bench/bench_main.h"
#include "tests/bench/gpu_bench.h"

using namespace temper;

namespace {

struct Shape {
  std::vector<int32_t> cu;
  int64_t heads, kv_heads, qk, v;
};

enum Part { kQ, kK, kV, kDo, kO, kDq, kDk, kDv, kParts };
constexpr const char* kNames[kParts] = {"q", "k", "v", "do", "o", "dq", "dk", "dv"};

// All tensors of one shape on the GPU.
struct Data {
  Context& ctx;
  const Shape& shape;
  std::vector<std::vector<uint16_t>> host;
  std::vector<Buffer> buffers;
  Tensor t[kParts], lse;
  Buffer lse_buffer, cu_buffer;
  Tensor cu;

  Data(Context& c, const Shape& s) : ctx(c), shape(s) {
    const int64_t n = s.cu.back();
    const int64_t heads[kParts] = {s.heads, s.kv_heads, s.kv_heads, s.heads,
                                   s.heads, s.heads,    s.kv_heads, s.kv_heads};
    const int64_t dims[kParts] = {s.qk, s.qk, s.v, s.v, s.v, s.qk, s.qk, s.v};
    for (int i = 0; i < kParts; ++i) {
      host.push_back(bench::random_bf16(static_cast<size_t>(n * heads[i] * dims[i]), i + 1));
      buffers.emplace_back(host.back().size() * 2, Device::cuda);
      t[i] = make_tensor(buffers.back().data(), DType::bf16, {n, heads[i], dims[i]}, Device::cuda);
    }
    lse_buffer = Buffer(static_cast<size_t>(n * s.heads) * 4, Device::cuda);
    lse = make_tensor(lse_buffer.data(), DType::f32, {n, s.heads}, Device::cuda);
    cu_buffer = Buffer(s.cu.size() * 4, Device::cuda);
    cu = make_tensor(cu_buffer.data(), DType::i32, {static_cast<int64_t>(s.cu.size())},
                     Device::cuda);
    cuda::check(cudaMemcpy(cu.data, s.cu.data(), s.cu.size() * 4, cudaMemcpyHostToDevice));
    reset();
  }
  void reset() {
    for (int i = 0; i < kParts; ++i)
      cuda::check(
          cudaMemcpy(t[i].data, host[i].data(), host[i].size() * 2, cudaMemcpyHostToDevice));
    cuda::check(cudaMemset(t[kO].data, 0xFF, host[kO].size() * 2));
  }
  AttentionShape where() const {
    return {Sequences(shape.cu, cu), 1.0 / std::sqrt(static_cast<double>(shape.qk))};
  }
  void forward() { attention_forward(ctx, t[kO], lse, t[kQ], t[kK], t[kV], where()); }
  // Gradients are written where they are fresh, else added.
  void backward(bool fresh) {
    attention_backward(ctx, {{t[kDq], fresh}, {t[kDk], fresh}, {t[kDv], fresh}}, t[kDo],
                       {t[kQ], t[kK], t[kV], t[kO], lse}, where());
  }
  std::vector<uint16_t> get(int i) const {
    std::vector<uint16_t> out(host[i].size());
    cuda::check(cudaMemcpy(out.data(), t[i].data, out.size() * 2, cudaMemcpyDeviceToHost));
    return out;
  }
  std::vector<std::vector<uint16_t>> run(bool hopper) {
    reset();
    const int major = ctx.cuda->properties.major;
    if (!hopper) ctx.cuda->properties.major = 8;  // the path of other cards
    forward();
    backward(false);
    ctx.cuda->properties.major = major;
    cuda::check(cudaStreamSynchronize(ctx.cuda->stream));
    return {get(kO), get(kDq), get(kDk), get(kDv)};
  }
};

double off(const std::vector<uint16_t>& a, const std::vector<uint16_t>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = bench::widen(a[i]), y = bench::widen(b[i]);
    difference += (x - y) * (x - y), size += y * y;
  }
  return std::sqrt(difference / size);
}

bool check_shape(Context& ctx, const Shape& s) {
  Data data(ctx, s);
  const auto expected = data.run(false), got = data.run(true), again = data.run(true);
  bool good = got == again;
  std::printf("%5d tokens in %2zu, heads %2ld/%2ld, %3ld/%3ld:", s.cu.back(), s.cu.size() - 1,
              long(s.heads), long(s.kv_heads), long(s.qk), long(s.v));
  for (int i = 0; i < 4; ++i) {
    const double d = off(got[i], expected[i]);
    std::printf(" %s %.2e", kNames[kO + i], d);
    good = good && d < 1e-2;
  }
  std::printf("%s%s\n", got == again ? "" : "  OTHER BITS", good ? "" : "  WRONG");
  std::fflush(stdout);
  return good;
}

double median_ms(Context& ctx, const std::function<void()>& call) {
  cudaEvent_t begin, end;
  cuda::check(cudaEventCreate(&begin)), cuda::check(cudaEventCreate(&end));
  std::vector<float> times;
  for (int i = 0; i < 13; ++i) {
    cuda::check(cudaEventRecord(begin, ctx.cuda->stream));
    call();
    cuda::check(cudaEventRecord(end, ctx.cuda->stream));
    cuda::check(cudaEventSynchronize(end));
    float ms = 0;
    cuda::check(cudaEventElapsedTime(&ms, begin, end));
    if (i >= 2) times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void time_shape(Context& ctx, int count, int length, int64_t heads, int64_t kv_heads, int64_t qk,
                int64_t v) {
  Shape s{{0}, heads, kv_heads, qk, v};
  for (int i = 0; i < count; ++i) s.cu.push_back(s.cu.back() + length);
  Data data(ctx, s);
  const double pairs = 0.5 * count * static_cast<double>(length) * length * heads;
  const double forward = median_ms(ctx, [&] { data.forward(); });
  const double backward = median_ms(ctx, [&] { data.backward(true); });
  std::printf(
      "%2d x %4d, heads %3ld/%3ld, %3ld/%3ld: forward %7.3f ms %4.0f TFLOPS, backward %7.3f "
      "ms %4.0f TFLOPS\n",
      count, length, long(heads), long(kv_heads), long(qk), long(v), forward,
      2e-9 * pairs * (qk + v) / forward, backward, 2e-9 * pairs * (3 * qk + 2 * v) / backward);
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  Context ctx(1, Device::cuda);
  bool good = true;
  if (what != "time")
    for (const Shape& s : {Shape{{0, 128}, 1, 1, 192, 128}, Shape{{0, 77, 300}, 4, 2, 192, 128},
                           Shape{{0, 1, 66, 66, 257, 1000}, 3, 1, 192, 128},
                           Shape{{0, 512, 2560}, 8, 8, 192, 128}, Shape{{0, 700}, 4, 2, 128, 128},
                           Shape{{0, 500, 629}, 9, 3, 64, 64}, Shape{{0, 300}, 2, 1, 96, 72},
                           // More keys than go through together, and heads in two parts.
                           Shape{{0, 100, 9100}, 4, 2, 64, 64}})
      good = check_shape(ctx, s) && good;
  if (what != "check") {
    time_shape(ctx, 8, 2048, 8, 8, 192, 128);
    time_shape(ctx, 16, 2048, 8, 8, 192, 128);
    time_shape(ctx, 4, 4096, 16, 16, 192, 128);
    time_shape(ctx, 2, 4096, 128, 128, 192, 128);
    time_shape(ctx, 4, 4096, 16, 16, 128, 128);
    time_shape(ctx, 16, 1024, 14, 2, 64, 64);
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::main_of(run, argc, argv);
}
