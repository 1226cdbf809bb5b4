// Checks and times the experts' products on a Hopper GPU:
//   build/bench_grouped [check|time [SHAPES]]
// First the products of ragged groups against the path of other cards, on random numbers, with
// poisoned outputs and paddings, 21 times for the bits. Then TFLOPS of each shape, of gradients
// that are fresh: the median of calls by CUDA events, with a cold L2 cache; beside it the path of
// other cards, and a loop of cuBLASLt's products over the groups. SHAPES: those whose names begin
// so.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "model/ops/cuda/grouped_gemm.h"
#include "model/ops/linear.h"
#include "tests/bench/bench_main.h"
#include "tests/bench/gpu_bench.h"

using namespace temper;
using namespace temper::bench;

namespace {

enum class Path { hopper, picked, others, loop };
enum class Product { forward, input_grad, weight_grad };
constexpr const char* kNames[] = {"forward", "input gradient", "weight gradient"};

void run(Context& ctx, Product product, bool hopper, Grad c, const PickedRows& a,
         const PickedRows& b, Tensor offsets) {
  const int major = ctx.cuda->properties.major;
  if (!hopper) ctx.cuda->properties.major = 8;  // the path of other cards
  if (product == Product::forward) cuda::grouped_forward(ctx, c, a, b.from, offsets);
  if (product == Product::input_grad) cuda::grouped_input_grad(ctx, c, a, b.from, offsets);
  if (product == Product::weight_grad) cuda::grouped_weight_grad(ctx, c, a, b, offsets);
  ctx.cuda->properties.major = major;
}

// The same, group by group.
void run_loop(Context& ctx, Product product, Tensor c, Tensor a, Tensor b,
              const std::vector<int32_t>& ends) {
  const auto matrix = [](const Tensor& t, int64_t e) {
    return t.slice_rows(e, 1).reshape({t.dim(1), t.dim(2)});
  };
  for (size_t e = 0; e + 1 < ends.size(); ++e) {
    const int64_t first = ends[e], count = ends[e + 1] - first, at = static_cast<int64_t>(e);
    const auto rows = [&](const Tensor& t) { return t.slice_rows(first, count); };
    if (product == Product::forward) linear_forward(ctx, rows(c), rows(a), matrix(b, at));
    if (product == Product::input_grad)
      linear_backward(ctx, {.dx = fresh(rows(c))}, rows(a), rows(c), matrix(b, at));
    if (product == Product::weight_grad)
      linear_backward(ctx, {.dw = fresh(matrix(c, at))}, rows(a), rows(b), matrix(c, at));
  }
}

// Runs one product over C of these bytes and returns what C holds then.
std::vector<char> result(Context& ctx, Product product, bool hopper, Grad c, Tensor a, Tensor b,
                         Tensor offsets, const std::vector<char>& before) {
  std::vector<char> after(before.size());
  cuda::check(cudaMemcpy(c.data, before.data(), before.size(), cudaMemcpyHostToDevice));
  cuda::check(cudaDeviceSynchronize());  // the copy may still be on its way
  run(ctx, product, hopper, c, a, b, offsets);
  cuda::check(cudaStreamSynchronize(ctx.cuda->stream));
  cuda::check(cudaMemcpy(after.data(), c.data, after.size(), cudaMemcpyDeviceToHost));
  return after;
}

// NaN equals NaN; else within a unit of bf16 (2^-7 of the number) or `absolute`.
bool same(float got, float expected, float relative, float absolute) {
  if (std::isnan(expected) || std::isnan(got)) return std::isnan(expected) && std::isnan(got);
  return std::abs(got - expected) <= relative * std::abs(expected) + absolute;
}

// Groups of `sizes` rows, `spare` rows of NaN after the last.
bool check_shape(Context& ctx, Product product, const std::vector<int32_t>& sizes, int64_t n,
                 int64_t k, bool is_fresh) {
  std::vector<int32_t> ends(1, 0);
  for (int32_t size : sizes) ends.push_back(ends.back() + size);
  const auto groups = static_cast<int64_t>(sizes.size());
  const int64_t used = ends.back(), rows = used + 40;
  const bool weights = product == Product::weight_grad;
  const int64_t a_cols = product == Product::forward ? k : n;
  const int64_t c_cols = product == Product::forward ? n : k;
  std::vector<uint16_t> left = random_bf16(static_cast<size_t>(rows * (a_cols + 8)), 1);
  std::vector<uint16_t> right =
      random_bf16(static_cast<size_t>(weights ? rows * (k + 8) : groups * n * k), 2);
  for (size_t i = static_cast<size_t>(used * (a_cols + 8)); i < left.size(); ++i) left[i] = 0x7FC0;
  if (weights)
    for (size_t i = static_cast<size_t>(used * (k + 8)); i < right.size(); ++i) right[i] = 0x7FC0;
  const Device16 a = make(left, rows, a_cols, a_cols + 8);
  Device16 b = weights ? make(right, rows, k, k + 8) : make(right, groups * n, k, k);
  if (!weights) b.view = make_tensor(b.view.data, DType::bf16, {groups, n, k}, Device::cuda);
  const Buffer offsets = to_device(ends);
  const Tensor at = make_tensor(offsets.data(), DType::i32, {groups + 1}, Device::cuda);
  const size_t width = weights ? 4 : 2;
  const size_t count = static_cast<size_t>(weights ? groups * n * k : rows * (c_cols + 8));
  const Buffer out(count * width, Device::cuda);
  std::vector<char> before(count * width, '\xFF');  // NaN
  if (product != Product::forward && !is_fresh) {
    const std::vector<uint16_t> numbers = random_bf16(count, 3);
    for (size_t i = 0; i < count; ++i) {
      const float value = widen(numbers[i]);
      weights ? std::memcpy(&before[i * 4], &value, 4)
              : std::memcpy(&before[i * 2], &numbers[i], 2);
    }
  }
  Tensor c = weights ? make_tensor(out.data(), DType::f32, {groups, n, k}, Device::cuda)
                     : make_tensor(out.data(), DType::bf16, {rows, c_cols}, Device::cuda);
  if (!weights) c.row_stride = c_cols + 8;
  const std::vector<char> expected =
      result(ctx, product, false, {c, is_fresh}, a.view, b.view, at, before);
  const std::vector<char> got =
      result(ctx, product, true, {c, is_fresh}, a.view, b.view, at, before);
  bool repeats = true;
  for (int i = 0; i < 20; ++i)
    repeats =
        repeats && got == result(ctx, product, true, {c, is_fresh}, a.view, b.view, at, before);
  int64_t wrong = 0, numbers = 0;
  double largest = 0;
  const auto inner = weights ? static_cast<double>(used) : static_cast<double>(a_cols);
  const float absolute = static_cast<float>(std::sqrt(inner)) * (weights ? 1e-5F : 1e-3F);
  for (size_t i = 0; i < count; ++i) {
    float x, y;
    uint16_t half[2];
    if (weights) {
      std::memcpy(&x, &got[i * 4], 4), std::memcpy(&y, &expected[i * 4], 4);
    } else {
      std::memcpy(&half[0], &got[i * 2], 2), std::memcpy(&half[1], &expected[i * 2], 2);
      x = widen(half[0]), y = widen(half[1]);
    }
    if (!std::isnan(y)) ++numbers, largest = std::max(largest, std::abs(double(x) - double(y)));
    if (!same(x, y, weights ? 1e-5F : 0.0079F, absolute) && wrong++ < 4)
      std::printf("  element %zu: %g, expected %g\n", i, double(x), double(y));
  }
  // A sample against sums in f64.
  double worst = 0;
  for (int64_t s = 0; s < 400; ++s) {
    const int64_t e = s * 7 % groups, first = ends[size_t(e)], size = sizes[size_t(e)];
    if (size == 0) continue;
    const int64_t i = weights ? s * 131 % n : first + s * 131 % size, j = s * 197 % c_cols;
    double sum = 0, scale = 1;
    for (int64_t q = 0; q < (weights ? size : a_cols); ++q) {
      const int64_t a_at = weights ? (first + q) * (a_cols + 8) + i : i * (a_cols + 8) + q;
      const int64_t b_at = weights                       ? (first + q) * (k + 8) + j
                           : product == Product::forward ? (e * n + j) * k + q
                                                         : (e * n + q) * k + j;
      const double term = double(widen(left[size_t(a_at)])) * double(widen(right[size_t(b_at)]));
      sum += term, scale += std::abs(term);
    }
    const auto at_c = size_t(weights ? (e * n + i) * k + j : i * (c_cols + 8) + j);
    const auto value = [&](const std::vector<char>& bytes) {
      float x = 0;
      uint16_t half = 0;
      weights ? std::memcpy(&x, &bytes[at_c * 4], 4) : std::memcpy(&half, &bytes[at_c * 2], 2);
      return double(weights ? x : widen(half));
    };
    if (product != Product::forward && !is_fresh) sum += value(before);
    const double error = std::abs(value(got) - sum);
    worst = std::max(worst, error / scale);
    if (!(error <= 1e-5 * scale + (weights ? 0.0 : 0.004 * std::abs(sum)))) ++wrong;
  }
  std::printf(
      "%-15s groups %3ld rows %6ld N %5ld K %5ld: %ld numbers, %ld wrong, largest "
      "difference %.3g, from f64 %.3g of the terms, %s\n",
      kNames[int(product)], long(groups), long(used), long(n), long(k), long(numbers), long(wrong),
      largest, worst, repeats ? "same bits" : "OTHER BITS");
  std::fflush(stdout);
  return wrong == 0 && repeats;
}

struct Shape {
  const char* name;
  std::vector<int32_t> sizes;
  int64_t n, k;
};
// Experts of which the fullest gets `skew` times the mean and the others share the rest.
std::vector<int32_t> split(int64_t rows, int64_t groups, double skew) {
  const auto first = static_cast<int64_t>(static_cast<double>(rows / groups) * skew);
  std::vector<int32_t> sizes(static_cast<size_t>(groups));
  for (int64_t e = 0; e < groups; ++e) {
    const int64_t rest = rows - first, others = groups - 1;
    const int64_t i = e - (e > groups / 2 ? 1 : 0);
    sizes[static_cast<size_t>(e)] =
        static_cast<int32_t>(e == groups / 2 ? first : rest * (i + 1) / others - rest * i / others);
  }
  return sizes;
}

// As many rows for each of two neighbours more than the mean as for the other less.
std::vector<int32_t> ragged(int64_t rows, int64_t groups) {
  std::vector<int32_t> sizes;
  for (int64_t e = 0; e < groups; ++e)
    sizes.push_back(static_cast<int32_t>(rows / groups + (e / 2 * 53 % 401) * (e % 2 * 2 - 1)));
  return sizes;
}

void time_shape(Context& ctx, const Shape& shape, const std::vector<uint16_t>& numbers,
                const Buffer& flush) {
  std::vector<int32_t> ends(1, 0);
  for (int32_t size : shape.sizes) ends.push_back(ends.back() + size);
  const auto groups = static_cast<int64_t>(shape.sizes.size());
  const int64_t rows = ends.back(), n = shape.n, k = shape.k;
  const Device16 x = make(numbers, rows, k, k), y = make(numbers, rows, n, n);
  const Device16 store = make(numbers, groups * n, k, k);
  const Tensor w = make_tensor(store.view.data, DType::bf16, {groups, n, k}, Device::cuda);
  const OwnedTensor dw = allocate(DType::f32, {groups, n, k}, Device::cuda);
  const Buffer offsets = to_device(ends);
  const Tensor at = make_tensor(offsets.data(), DType::i32, {groups + 1}, Device::cuda);
  const double flops = 2.0 * double(rows) * double(n) * double(k);
  std::printf("%-28s N %5ld K %5ld:", shape.name, long(n), long(k));
  std::vector<int32_t> order;  // a fourth as many tokens, in no order
  for (int64_t r = 0; r < rows; ++r) order.push_back(static_cast<int32_t>(r * 7919 % (rows / 4)));
  const Buffer token_of = to_device(order);
  const Tensor index = make_tensor(token_of.data(), DType::i32, {rows}, Device::cuda);
  for (const Path path : {Path::hopper, Path::picked, Path::others, Path::loop}) {
    for (const Product product : {Product::forward, Product::input_grad, Product::weight_grad}) {
      const Tensor c = product == Product::forward      ? y.view
                       : product == Product::input_grad ? x.view
                                                        : dw.view;
      const Tensor a = product == Product::forward ? x.view : y.view;
      const Tensor b = product == Product::weight_grad ? x.view : w;
      // So often that cuBLASLt's products have been chosen by time.
      for (int i = 0; path == Path::loop && i < 40 / int(groups) + 1; ++i)
        run_loop(ctx, product, c, a, b, ends);
      const float ms = median_ms(ctx, flush, path == Path::others ? 3 : 11, [&] {
        if (path == Path::loop) return run_loop(ctx, product, c, a, b, ends);
        if (path == Path::picked)
          return run(ctx, product, true, fresh(c), PickedRows(a, index), b, at);
        run(ctx, product, path == Path::hopper, fresh(c), a, b, at);
      });
      std::printf(" %6.1f", flops / double(ms) * 1e-9);
    }
    std::printf(path == Path::loop ? "\n" : "  |");
  }
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  Context ctx(1, Device::cuda);
  std::printf("%s\n", ctx.cuda->properties.name);
  bool good = true;
  if (what != "time") {
    for (const Product p : {Product::forward, Product::input_grad, Product::weight_grad}) {
      for (const bool is_fresh : {false, true}) {
        good = check_shape(ctx, p, {128}, 256, 64, is_fresh) && good;
        good = check_shape(ctx, p, {256, 128, 384}, 512, 256, is_fresh) && good;
        good =
            check_shape(ctx, p, {1, 0, 130, 77, 0, 300, 64, 65, 511}, 328, 200, is_fresh) && good;
        good = check_shape(ctx, p, split(6000, 40, 6.0), 712, 1032, is_fresh) && good;
      }
    }
    std::printf(good ? "all agree\n" : "WRONG\n");
  }
  if (what != "check") {
    const std::vector<Shape> shapes = {
        {"v3-1b gate and up", split(65536, 32, 1.0), 1024, 1024},
        {"v3-1b down", split(65536, 32, 1.0), 1024, 512},
        {"v3-1b gate and up, ragged", ragged(65536, 32), 1024, 1024},
        {"v3-1b down, ragged", ragged(65536, 32), 1024, 512},
        {"v3-1b q", {16384}, 1536, 1024},
        {"v3-1b kv_a", {16384}, 576, 1024},
        {"v3-1b kv_b", {16384}, 2048, 512},
        {"v3-1b o, shared gate and up", {16384}, 1024, 1024},
        {"v3-1b shared down", {16384}, 1024, 512},
        {"v3-1b first gate and up", {16384}, 8192, 1024},
        {"v3-1b first down", {16384}, 1024, 4096},
        {"v3-1b gate and up, fullest 4x", split(65536, 32, 4.0), 1024, 1024},
        {"v3-1b down, fullest 4x", split(65536, 32, 4.0), 1024, 512},
        {"Moonlight gate and up", split(98304, 64, 1.0), 2816, 2048},
        {"Moonlight down", split(98304, 64, 1.0), 2048, 1408},
        {"Moonlight down, fullest 6x", split(98304, 64, 6.0), 2048, 1408},
        {"4 x 8192", split(32768, 4, 1.0), 4096, 7168},
        {"4 x 8192", split(32768, 4, 1.0), 7168, 2048},
        {"8 x 4096", split(32768, 8, 1.0), 4096, 7168},
        {"8 x 4096", split(32768, 8, 1.0), 7168, 2048},
        {"32 x 256", split(8192, 32, 1.0), 4096, 7168},
        {"32 x 256", split(8192, 32, 1.0), 7168, 2048}};
    const std::vector<uint16_t> numbers = random_bf16((size_t{1} << 23) + 12345, 4);
    const Buffer flush(size_t{256} << 20, Device::cuda);
    std::printf(
        "TFLOPS: forward, input gradient, weight gradient | with picked rows (x, dy, dy) | of "
        "other "
        "cards' path | of a loop of cuBLASLt\n");
    const std::string begin = argc > 2 ? argv[2] : "";
    for (const Shape& shape : shapes)
      if (std::string(shape.name).starts_with(begin)) time_shape(ctx, shape, numbers, flush);
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::main_of(run, argc, argv);
}
