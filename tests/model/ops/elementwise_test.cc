#include "model/ops/elementwise.h"

#include "core/narrow_float.h"
#include "model/ops/swiglu.h"
#include "tests/model/ops/op_test.h"

namespace temper {
namespace {

using test::Tensors;

TEST_CASE("swiglu equals its formula and survives extreme gates", "[ops]") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  Tensors make;
  Context ctx(2);
  const Tensor gate = make.normal_slice(dtype, {9, 37}, 4.0),
               up = make.normal_slice(dtype, {9, 37});
  dispatch_float(dtype, [&]<class T>() {
    gate.row<T>(0)[0] = T(-1000);
    gate.row<T>(0)[1] = T(1000);
    gate.row<T>(0)[2] = T(-90);
  });
  const Tensor y = make.slice(dtype, {9, 37});
  swiglu_forward(ctx, y, gate, up);
  dispatch_float(dtype, [&]<class T>() {
    for (int64_t t = 0; t < 9; ++t) {
      for (int64_t i = 0; i < 37; ++i) {
        const double g = static_cast<double>(gate.row<T>(t)[i]);
        const double expected = g / (1 + std::exp(-g)) * static_cast<double>(up.row<T>(t)[i]);
        REQUIRE(static_cast<double>(y.row<T>(t)[i]) ==
                Approx(expected).epsilon(dtype == DType::f32 ? 1e-6 : 1e-14).margin(1e-35));
      }
    }
  });
}

TEST_CASE("swiglu's gradients", "[ops][gradient]") {
  Tensors make;
  Context ctx(2);
  const DType f = DType::f64;
  const Tensor gate = make.normal_slice(f, {5, 13}, 2.0), up = make.normal_slice(f, {5, 13});
  const Tensor dy = make.normal_slice(f, {5, 13}), y = make.poisoned(f, {5, 13});
  const Tensor dgate = make.zeros_slice(f, {5, 13}), dup = make.zeros_slice(f, {5, 13});
  const auto loss = [&] {
    swiglu_forward(ctx, y, gate, up);
    return test::dot_all(y, dy);
  };
  const Tensor again = make.slice(f, {5, 13});
  swiglu_backward(ctx, {dgate, dup}, again, dy, gate, up);
  loss();
  CHECK(test::same_bits(again, y));
  CHECK(test::check_gradient(gate, dgate, loss).relative < 1e-9);
  CHECK(test::check_gradient(up, dup, loss).relative < 1e-9);
  const Tensor twice = make.doubled(dgate);
  swiglu_backward(ctx, {dgate, dup}, {}, dy, gate, up);
  CHECK(test::relative_difference(dgate, twice) < 1e-14);
}

TEST_CASE("swiglu's gradients where rows count with weights", "[ops][gradient]") {
  Tensors make;
  Context ctx(2);
  const DType f = DType::f64;
  const Tensor gate = make.normal_slice(f, {6, 13}, 2.0), up = make.normal_slice(f, {6, 13});
  const Tensor dz = make.normal_slice(f, {6, 13}), y = make.poisoned(f, {6, 13});
  const Tensor weights = make.normal(f, {3, 2}), row_of = make.ints({3, 2}, {4, 0, 1, 5, 3, 2});
  const Tensor z = make.slice(f, {6, 13}), again = make.slice(f, {6, 13});
  const Tensor dgate = make.zeros_slice(f, {6, 13}), dup = make.zeros_slice(f, {6, 13});
  const Tensor dweights = make.zeros(f, {3, 2});
  const auto loss = [&] {
    swiglu_forward(ctx, y, gate, up);
    for (int64_t c = 0; c < 6; ++c) {
      const int32_t r = row_of.get<int32_t>()[c];
      for (int64_t i = 0; i < 13; ++i)
        z.row<double>(r)[i] = weights.get<double>()[c] * y.row<double>(r)[i];
    }
    return test::dot_all(z, dz);
  };
  const SwigluGrads grads{dgate, dup};
  weighted_swiglu_backward(ctx, grads, dweights, again, dz, gate, up, {weights, row_of});
  loss();
  CHECK(test::relative_difference(again, z) < 1e-14);
  CHECK(test::check_gradient(gate, dgate, loss).relative < 1e-9);
  CHECK(test::check_gradient(up, dup, loss).relative < 1e-9);
  CHECK(test::check_gradient(weights, dweights, loss).relative < 1e-9);
  const Tensor twice = make.doubled(dgate), dweights2 = make.doubled(dweights);
  weighted_swiglu_backward(ctx, grads, dweights, again, dz, gate, up, {weights, row_of});
  CHECK(test::relative_difference(dgate, twice) < 1e-14);
  CHECK(test::relative_difference(dweights, dweights2) < 1e-14);
}

TEST_CASE("add, scale, fill and copy work on slices and flat tensors", "[ops]") {
  const DType f = GENERATE(DType::f32, DType::f64);
  const bool sliced = GENERATE(false, true);
  Tensors make;
  Context ctx(2);
  const int64_t rows = 300, cols = 91;
  const auto normal = [&] {
    return sliced ? make.normal_slice(f, {rows, cols}) : make.normal(f, {rows, cols});
  };
  const Tensor a = normal(), b = normal(), out = make.slice(f, {rows, cols});
  add(ctx, out, a, b);
  const Tensor kept = make.copy_of(a);
  add(ctx, a, b);
  CHECK(test::same_bits(a, out));
  scale(ctx, a, 0.5);
  copy(ctx, out, a);
  CHECK(test::same_bits(out, a));
  int wrong = 0;
  dispatch_float(f, [&]<class T>() {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j)
        wrong += a.row<T>(i)[j] != (kept.row<T>(i)[j] + b.row<T>(i)[j]) * T(0.5);
  });
  CHECK(wrong == 0);
  fill_zero(ctx, a);
  fill_zero(ctx, out);
  CHECK(test::same_bits(a, make.zeros(f, {rows, cols})));
  CHECK(test::same_bits(out, make.zeros(f, {rows, cols})));
}

TEST_CASE("sum of squares keeps its bits on any number of threads", "[ops]") {
  const DType f = GENERATE(DType::f32, DType::f64);
  const bool sliced = GENERATE(false, true);
  Tensors make;
  Context one(1), two(2), five(5);
  const Tensor x = sliced ? make.normal_slice(f, {700, 77}) : make.normal(f, {700, 77});
  double expected = 0;
  dispatch_float(f, [&]<class T>() {
    for (int64_t i = 0; i < 700; ++i)
      for (int64_t j = 0; j < 77; ++j) expected += std::pow(static_cast<double>(x.row<T>(i)[j]), 2);
  });
  CHECK(sum_of_squares(one, x) == Approx(expected).epsilon(1e-12));
  CHECK(sum_of_squares(one, x) == sum_of_squares(two, x));
  CHECK(sum_of_squares(one, x) == sum_of_squares(five, x));
  CHECK(sum_of_squares(one, make.zeros(f, {0, 3})) == 0.0);
}

TEST_CASE("16-bit floats convert exactly one way and to nearest even the other", "[ops]") {
  Tensors make;
  Context ctx(2);
  int wrong = 0;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const uint16_t b = static_cast<uint16_t>(bits);
    const float x = from_bf16(b), h = from_f16(b);
    wrong += std::isnan(x) ? !std::isnan(from_bf16(to_bf16(x))) : to_bf16(x) != b;
    wrong += std::isnan(h) ? !std::isnan(from_f16(to_f16(h))) : to_f16(h) != b;
  }
  CHECK(wrong == 0);
  CHECK(from_f16(0x3C01) == 1.0f + 0x1p-10f);
  CHECK(from_f16(0x0001) == 0x1p-24f);
  CHECK(to_f16(1.0f + 0x1p-11f) == 0x3C00);  // a tie goes to even
  CHECK(to_f16(1.0f + 0x1p-11f + 0x1p-20f) == 0x3C01);
  CHECK(to_f16(65519.0f) == 0x7BFF);
  CHECK(to_f16(65520.0f) == 0x7C00);
  CHECK(to_f16(0x1p-25f) == 0);
  CHECK(to_bf16(1.0f + 0x1p-8f) == 0x3F80);
  const Tensor wide = make.normal(DType::f64, {3, 5}), half = make.zeros(DType::bf16, {3, 5});
  const Tensor back = make.poisoned(DType::f32, {3, 5});
  copy(ctx, half, wide);
  copy(ctx, back, half);
  for (int64_t i = 0; i < 15; ++i)
    CHECK(static_cast<double>(back.get<float>()[i]) == Approx(wide.get<double>()[i]).epsilon(4e-3));
}

}  // namespace
}  // namespace temper
