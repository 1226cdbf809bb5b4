#include <cmath>

#include "model/ops/rms_norm.h"
#include "model/ops/rope.h"
#include "tests/model/ops/op_test.h"

namespace temper {
namespace {

using test::Tensors;

TEST_CASE("rms_norm equals its formula, in place too", "[ops]") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const int64_t n = GENERATE(1, 7, 64, 577);
  Tensors make;
  Context ctx(2);
  const Tensor x = make.normal_slice(dtype, {5, n}), w = make.normal(dtype, {n});
  const Tensor y = make.slice(dtype, {5, n}), rstd = make.poisoned(dtype, {5});
  const Tensor kept = make.slice(dtype, {5, n});
  rms_norm_forward(ctx, y, {rstd, kept}, x, w, 1e-5);
  dispatch_float(dtype, [&]<class T>() {
    const double bound = dtype == DType::f32 ? 1e-6 : 1e-14;
    for (int64_t t = 0; t < 5; ++t) {
      double squares = 0;
      for (int64_t i = 0; i < n; ++i) squares += std::pow(static_cast<double>(x.row<T>(t)[i]), 2);
      const double r = 1.0 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
      REQUIRE(static_cast<double>(rstd.get<T>()[t]) == Approx(r).epsilon(bound));
      for (int64_t i = 0; i < n; ++i)
        REQUIRE(static_cast<double>(y.row<T>(t)[i]) ==
                Approx(static_cast<double>(x.row<T>(t)[i] * w.get<T>()[i]) * r).epsilon(bound));
    }
  });
  CHECK(test::same_bits(kept, x));
  rms_norm_forward(ctx, x, {}, x, w, 1e-5);
  CHECK(test::same_bits(x, y));
}

TEST_CASE("rms_norm's gradients", "[ops][gradient]") {
  const int64_t n = GENERATE(1, 7, 33);
  Tensors make;
  Context ctx(2);
  const DType f = DType::f64;
  const Tensor x = make.normal_slice(f, {4, n}), w = make.normal(f, {n});
  const Tensor dy = make.normal_slice(f, {4, n}), y = make.poisoned(f, {4, n});
  const Tensor rstd = make.poisoned(f, {4});
  const RmsNormGrads grads{make.zeros_slice(f, {4, n}), make.zeros(f, {n})};
  const auto loss = [&] {
    rms_norm_forward(ctx, y, {rstd}, x, w, 1e-2);
    return test::dot_all(y, dy);
  };
  loss();
  rms_norm_backward(ctx, grads, dy, x, w, rstd);
  CHECK(test::check_gradient(x, grads.dx, loss).relative < 1e-8);
  CHECK(test::check_gradient(w, grads.dw, loss).relative < 1e-9);
  const Tensor dx = make.doubled(grads.dx), dw = make.doubled(grads.dw);
  rms_norm_backward(ctx, grads, dy, x, w, rstd);
  CHECK(test::relative_difference(grads.dx, dx) < 1e-14);
  CHECK(test::relative_difference(grads.dw, dw) < 1e-14);
}

TEST_CASE("rope turns each pair by position times frequency", "[ops]") {
  const RopeStyle style = GENERATE(RopeStyle::interleaved, RopeStyle::halves);
  const DType f = DType::f64;
  Tensors make;
  Context ctx(2);
  const int64_t tokens = 5, heads = 3, dim = 8;
  const Tensor x = make.normal_slice(f, {tokens, heads, dim}), before = make.copy_of(x);
  const Tensor cos = make.poisoned(f, {tokens, dim / 2}), sin = make.poisoned(f, {tokens, dim / 2});
  const Tensor positions = make.ints({tokens}, {0, 1, 2, 70, 5});
  const RopeFrequencies frequencies = rope_frequencies({}, dim, 128);
  rope_tables(ctx, cos, sin, positions, frequencies);
  rope_forward(ctx, x, cos, sin, style);
  for (int64_t r = 0; r < tokens * heads; ++r) {
    for (int64_t j = 0; j < dim / 2; ++j) {
      const bool pairs = style == RopeStyle::interleaved;
      const int64_t first = pairs ? 2 * j : j, second = pairs ? 2 * j + 1 : j + dim / 2;
      const double angle = positions.get<int32_t>()[r / heads] *
                           std::pow(10000.0, -2.0 * static_cast<double>(j) / dim);
      const double a = before.row<double>(r)[first], b = before.row<double>(r)[second];
      REQUIRE(x.row<double>(r)[first] ==
              Approx(a * std::cos(angle) - b * std::sin(angle)).margin(1e-13));
      REQUIRE(x.row<double>(r)[second] ==
              Approx(a * std::sin(angle) + b * std::cos(angle)).margin(1e-13));
    }
  }
  rope_backward(ctx, x, cos, sin, style);  // the transpose of a rotation is its inverse
  CHECK(test::relative_difference(x, before) < 1e-14);
}

TEST_CASE("rope's scores depend on the distance of positions alone", "[ops]") {
  Tensors make;
  Context ctx(1);
  const DType f = DType::f64;
  const RopeFrequencies frequencies = rope_frequencies({}, 16, 128);
  const Tensor vectors = make.normal(f, {2, 16});
  double scores[2];
  for (int shift = 0; shift < 2; ++shift) {
    const Tensor x = make.copy_of(vectors), cos = make.poisoned(f, {2, 8}),
                 sin = make.poisoned(f, {2, 8});
    rope_tables(ctx, cos, sin, make.ints({2}, {3 + 40 * shift, 11 + 40 * shift}), frequencies);
    rope_forward(ctx, x, cos, sin, RopeStyle::interleaved);
    scores[shift] = test::dot_all(x.slice_rows(0, 1), x.slice_rows(1, 1));
  }
  CHECK(scores[0] == Approx(scores[1]).epsilon(1e-12));
}

TEST_CASE("YaRN frequencies of DeepSeek-V3", "[ops]") {
  RopeConfig config;
  config.type = RopeType::yarn;
  config.factor = 40;
  config.mscale = config.mscale_all_dim = 1.0;
  config.original_max_position_embeddings = 4096;
  const RopeFrequencies yarn = rope_frequencies(config, 64, 163840);
  REQUIRE(yarn.inv_freq.size() == 32);
  CHECK(yarn.attention_factor == Approx(1.0));
  const auto plain = [](int j) { return std::pow(10000.0, -j / 32.0); };
  CHECK(yarn.inv_freq[0] == Approx(1.0));
  CHECK(yarn.inv_freq[10] == Approx(plain(10)));       // up to 10: as they were
  CHECK(yarn.inv_freq[23] == Approx(plain(23) / 40));  // from 23: divided by the factor
  CHECK(yarn.inv_freq[31] == Approx(plain(31) / 40));
  const double ramp = (15.0 - 10.0) / 13.0;
  CHECK(yarn.inv_freq[15] == Approx(plain(15) * (1 - ramp) + plain(15) / 40 * ramp));
  config.mscale = 0.707;
  config.mscale_all_dim = 0.0;
  CHECK(rope_frequencies(config, 64, 163840).attention_factor ==
        Approx(0.1 * std::log(40.0) + 1.0));
  config.attention_factor = 1.25;
  CHECK(rope_frequencies(config, 64, 163840).attention_factor == 1.25);
}

TEST_CASE("linear and llama3 scaling of rope", "[ops]") {
  RopeConfig config;
  config.type = RopeType::linear;
  config.factor = 4;
  CHECK(rope_frequencies(config, 8, 128).inv_freq[0] == 0.25);
  config.type = RopeType::llama3;
  config.rope_theta = 500000;
  config.factor = 8;
  config.original_max_position_embeddings = 8192;
  const RopeFrequencies llama = rope_frequencies(config, 128, 131072);
  const auto plain = [](int j) { return std::pow(500000.0, -j / 64.0); };
  CHECK(llama.inv_freq[0] == Approx(1.0));             // wavelength below 8192 / 4
  CHECK(llama.inv_freq[63] == Approx(plain(63) / 8));  // wavelength above 8192
  const double turns = 8192 * plain(33) / (2 * 3.14159265358979), smooth = (turns - 1) / 3;
  REQUIRE(smooth > 0);
  REQUIRE(smooth < 1);
  CHECK(llama.inv_freq[33] == Approx(plain(33) * smooth + plain(33) / 8 * (1 - smooth)));
}

}  // namespace
}  // namespace temper
