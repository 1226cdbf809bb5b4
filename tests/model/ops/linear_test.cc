#include "model/ops/linear.h"
#include "model/ops/permute.h"

#include "tests/model/ops/op_test.h"

namespace temper {
namespace {

using test::Tensors;

// y[i, j] = sum_k a(i, k) b(j, k) in long double.
void naive_product(const Tensor& y, const Tensor& x, const Tensor& w) {
  dispatch_float(y.dtype, [&]<class T>() {
    for (int64_t i = 0; i < y.rows(); ++i) {
      for (int64_t j = 0; j < y.cols(); ++j) {
        long double sum = 0;
        for (int64_t k = 0; k < x.cols(); ++k)
          sum +=
              static_cast<long double>(x.row<T>(i)[k]) * static_cast<long double>(w.row<T>(j)[k]);
        y.row<T>(i)[j] = static_cast<T>(sum);
      }
    }
  });
}

TEST_CASE("linear equals a naive product at odd sizes", "[ops]") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const int64_t rows = GENERATE(1, 2, 5, 8, 9, 16, 17, 33, 70, 131);
  const int64_t outs = GENERATE(1, 7, 50, 200);
  const int64_t ins = GENERATE(1, 13, 800);
  Tensors make;
  Context ctx(2);
  const Tensor x = make.normal_slice(dtype, {rows, ins}), w = make.normal_slice(dtype, {outs, ins});
  const Tensor y = make.slice(dtype, {rows, outs}), expected = make.poisoned(dtype, {rows, outs});
  linear_forward(ctx, y, x, w);
  naive_product(expected, x, w);
  REQUIRE(test::relative_difference(y, expected) < (dtype == DType::f32 ? 2e-5 : 1e-13));
}

TEST_CASE("a row of linear depends on its row of x alone, bit for bit", "[ops]") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const int64_t outs = GENERATE(3, 100, 513), ins = GENERATE(16, 577, 1300);
  Tensors make;
  Context one(1), two(2);
  const Tensor x = make.normal(dtype, {150, ins}), w = make.normal(dtype, {outs, ins});
  const Tensor all = make.poisoned(dtype, {150, outs}), part = make.poisoned(dtype, {150, outs});
  const Tensor bias = make.normal(dtype, {outs});
  linear_forward(two, all, x, w, bias);
  for (int64_t count : {1, 2, 3, 8, 11, 16, 31, 32, 33, 64, 149}) {
    const Tensor some = part.slice_rows(0, count);
    linear_forward(count % 2 ? one : two, some, x.slice_rows(150 - count, count), w, bias);
    INFO(count << " rows");
    REQUIRE(test::same_bits(some, all.slice_rows(150 - count, count)));
  }
}

TEST_CASE("linear's gradients", "[ops][gradient]") {
  const int64_t rows = GENERATE(1, 5, 40), outs = GENERATE(3, 37), ins = GENERATE(2, 41);
  Tensors make;
  Context ctx(2);
  const DType f = DType::f64;
  const Tensor x = make.normal_slice(f, {rows, ins}), w = make.normal_slice(f, {outs, ins});
  const Tensor bias = make.normal(f, {outs}), dy = make.normal_slice(f, {rows, outs});
  const Tensor y = make.poisoned(f, {rows, outs});
  const LinearGrads grads{make.zeros_slice(f, {rows, ins}), make.zeros_slice(f, {outs, ins}),
                          make.zeros(f, {outs})};
  const auto loss = [&] {
    linear_forward(ctx, y, x, w, bias);
    return test::dot_all(y, dy);
  };
  linear_backward(ctx, grads, dy, x, w);
  CHECK(test::check_gradient(x, grads.dx, loss).relative < 1e-9);
  CHECK(test::check_gradient(w, grads.dw, loss).relative < 1e-9);
  CHECK(test::check_gradient(bias, grads.dbias, loss).relative < 1e-9);

  const Tensor dx = make.doubled(grads.dx), dw = make.doubled(grads.dw);
  linear_backward(ctx, grads, dy, x, w);  // adds: twice is double
  CHECK(test::relative_difference(grads.dx, dx) < 1e-14);
  CHECK(test::relative_difference(grads.dw, dw) < 1e-14);
  linear_backward(ctx, {}, dy, x, w);  // nothing asked, nothing done
}

TEST_CASE("grouped linear equals one linear an expert, empty experts included", "[ops][gradient]") {
  const DType f = DType::f64;
  const int64_t n = GENERATE(5, 130), k = GENERATE(7, 64);
  const std::vector<int32_t> bounds = {0, 0, 3, 40, 40, 41, 110, 110};
  Tensors make;
  Context ctx(2);
  const int64_t experts = 7, rows = 110;
  const Tensor offsets = make.ints({experts + 1}, bounds);
  const Tensor x = make.normal_slice(f, {rows, k}), w = make.normal(f, {experts, n, k});
  const Tensor dy = make.normal_slice(f, {rows, n}), y = make.slice(f, {rows, n});
  const Tensor expected = make.poisoned(f, {rows, n});
  const LinearGrads grads{make.zeros_slice(f, {rows, k}), make.zeros(f, {experts, n, k})};
  const LinearGrads want{make.zeros(f, {rows, k}), make.zeros(f, {experts, n, k})};
  grouped_linear_forward(ctx, y, x, w, offsets);
  grouped_linear_backward(ctx, grads, dy, x, w, offsets);
  for (size_t e = 0; e < 7; ++e) {
    const int64_t first = bounds[e], count = bounds[e + 1] - first, at = static_cast<int64_t>(e);
    const Tensor we = w.slice_rows(at, 1).reshape({n, k});
    linear_forward(ctx, expected.slice_rows(first, count), x.slice_rows(first, count), we);
    linear_backward(ctx,
                    {want.dx.slice_rows(first, count), want.dw.slice_rows(at, 1).reshape({n, k})},
                    dy.slice_rows(first, count), x.slice_rows(first, count), we);
  }
  CHECK(test::same_bits(y, expected));
  CHECK(test::relative_difference(grads.dx, want.dx) < 1e-13);
  CHECK(test::relative_difference(grads.dw, want.dw) < 1e-13);
}

TEST_CASE("grouped linear of picked rows equals that of the rows laid out", "[ops]") {
  const DType f = DType::f32;
  const int64_t n = 20, k = 33, rows = 8;
  Tensors make;
  Context ctx(2);
  const Tensor offsets = make.ints({4}, {0, 3, 3, 8}),
               index = make.ints({rows}, {4, 0, 2, 2, 1, 4, 0, 3});
  const Tensor x = make.normal_slice(f, {5, k}), w = make.normal(f, {3, n, k});
  const Tensor dy = make.normal_slice(f, {5, n});
  const Tensor laid_x = make.poisoned(f, {rows, k}), laid_dy = make.poisoned(f, {rows, n});
  gather_rows_forward(ctx, laid_x, x, index);
  gather_rows_forward(ctx, laid_dy, dy, index);
  const Tensor y = make.poisoned(f, {rows, n}), want = make.poisoned(f, {rows, n});
  grouped_linear_forward(ctx, y, {x, index}, w, offsets);
  grouped_linear_forward(ctx, want, laid_x, w, offsets);
  CHECK(test::same_bits(y, want));
  const LinearGrads grads{make.zeros(f, {rows, k}), make.zeros(f, {3, n, k})};
  const LinearGrads expected{make.zeros(f, {rows, k}), make.zeros(f, {3, n, k})};
  grouped_linear_backward(ctx, grads, {dy, index}, {x, index}, w, offsets);
  grouped_linear_backward(ctx, expected, laid_dy, laid_x, w, offsets);
  CHECK(test::same_bits(grads.dx, expected.dx));
  CHECK(test::same_bits(grads.dw, expected.dw));
  const Tensor few = make.ints({rows - 1}, {4, 0, 2, 2, 1, 4, 0});
  CHECK_THROWS_AS(grouped_linear_forward(ctx, y, {x, few}, w, offsets), ContractError);
}

TEST_CASE("head products equal linear head by head", "[ops]") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const int64_t tokens = GENERATE(1, 9, 40), heads = 3, n = 10, k = 21;
  Tensors make;
  Context ctx(2);
  const Tensor x = make.normal_slice(dtype, {tokens, heads, k});
  const Tensor w = make.normal_slice(dtype, {heads, n * k});
  const Tensor y = make.slice(dtype, {tokens, heads, n}),
               back = make.slice(dtype, {tokens, heads, k});
  head_linear_forward(ctx, y, x, w);
  head_linear_transposed_forward(ctx, back, y, w);
  dispatch_float(dtype, [&]<class T>() {
    const double bound = dtype == DType::f32 ? 1e-4 : 1e-12;
    for (int64_t r = 0; r < tokens * heads; ++r) {
      const T* wh = w.row<T>(r % heads);
      for (int64_t i = 0; i < n; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < k; ++j) sum += static_cast<double>(wh[i * k + j] * x.row<T>(r)[j]);
        REQUIRE(std::abs(sum - static_cast<double>(y.row<T>(r)[i])) < bound);
      }
      for (int64_t j = 0; j < k; ++j) {
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(wh[i * k + j] * y.row<T>(r)[i]);
        REQUIRE(std::abs(sum - static_cast<double>(back.row<T>(r)[j])) < 10 * bound);
      }
    }
  });
}

TEST_CASE("linear refuses shapes that do not match", "[ops]") {
  Tensors make;
  Context ctx(1);
  const Tensor x = make.zeros(DType::f32, {4, 8}), w = make.zeros(DType::f32, {3, 8});
  CHECK_THROWS_AS(linear_forward(ctx, make.zeros(DType::f32, {4, 4}), x, w), ContractError);
  CHECK_THROWS_AS(linear_forward(ctx, make.zeros(DType::f32, {3, 3}), x, w), ContractError);
  CHECK_THROWS_AS(linear_forward(ctx, make.zeros(DType::f64, {4, 3}), x, w), ContractError);
  Tensor gpu = make.zeros(DType::f32, {4, 3}), gx = x, gw = w;
  gpu.device = gx.device = gw.device = Device::cuda;
  CHECK_THROWS_AS(linear_forward(ctx, gpu, gx, gw), ContractError);
}

}  // namespace
}  // namespace temper
