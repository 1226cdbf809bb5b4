#include "model/ops/attention.h"

#include "tests/model/ops/op_test.h"
#include "tests/support/worse.h"

namespace temper {
namespace {

using test::Tensors;

struct Case {
  std::vector<int32_t> cu;
  int64_t heads, kv_heads, dim, dim_v;
};

struct Data {
  Tensor q, k, v, o, lse, d_o;
  Data(Tensors& make, DType dtype, const Case& c) {
    const int64_t t = c.cu.back();
    q = make.normal_slice(dtype, {t, c.heads, c.dim});
    k = make.normal_slice(dtype, {t, c.kv_heads, c.dim});
    v = make.normal_slice(dtype, {t, c.kv_heads, c.dim_v});
    o = make.slice(dtype, {t, c.heads, c.dim_v});
    lse = make.poisoned(dtype, {t, c.heads});
    d_o = make.normal_slice(dtype, {t, c.heads, c.dim_v});
  }
};

// The definition, one query at a time, in f64.
void naive_attention(const Tensor& o, const Tensor& lse, const Data& d, const Case& c,
                     double scale) {
  for (size_t s = 0; s + 1 < c.cu.size(); ++s) {
    for (int64_t t = c.cu[s]; t < c.cu[s + 1]; ++t) {
      for (int64_t h = 0; h < c.heads; ++h) {
        const int64_t kv = h / (c.heads / c.kv_heads);
        std::vector<double> weight;
        double sum = 0;
        for (int64_t u = c.cu[s]; u <= t; ++u) {
          double dot = 0;
          for (int64_t i = 0; i < c.dim; ++i)
            dot += d.q.row<double>(t * c.heads + h)[i] * d.k.row<double>(u * c.kv_heads + kv)[i];
          weight.push_back(std::exp(scale * dot));
          sum += weight.back();
        }
        lse.row<double>(t)[h] = std::log(sum);
        for (int64_t i = 0; i < c.dim_v; ++i) {
          double value = 0;
          for (int64_t u = c.cu[s]; u <= t; ++u)
            value += weight[static_cast<size_t>(u - c.cu[s])] / sum *
                     d.v.row<double>(u * c.kv_heads + kv)[i];
          o.row<double>(t * c.heads + h)[i] = value;
        }
      }
    }
  }
}

// The last rows of each sequence over all its keys are those rows of the whole.
TEST_CASE("attention of the last rows of sequences is that of all", "[ops]") {
  const Case all{{0, 60, 61, 190}, 3, 1, 5, 7};
  const std::vector<int32_t> cu{0, 7, 8, 108};
  Tensors make;
  Context ctx(2);
  const Data d(make, DType::f64, all);
  const double scale = 0.4;
  attention_forward(ctx, d.o, d.lse, d.q, d.k, d.v, {all.cu, scale});
  const Tensor q = make.zeros(DType::f64, {108, 3, 5}), o = make.poisoned(DType::f64, {108, 3, 7});
  const Tensor lse = make.poisoned(DType::f64, {108, 3});
  const auto row_of = [&](int64_t t, size_t s) { return all.cu[s + 1] - cu[s + 1] + t; };
  const auto for_rows = [&](auto&& body) {
    for (size_t s = 0; s + 1 < cu.size(); ++s)
      for (int64_t t = cu[s]; t < cu[s + 1]; ++t)
        for (int64_t h = 0; h < 3; ++h) body(3 * t + h, 3 * row_of(t, s) + h);
  };
  for_rows(
      [&](int64_t to, int64_t from) { std::copy_n(d.q.row<double>(from), 5, q.row<double>(to)); });
  attention_forward(ctx, o, lse, q, d.k, d.v, {cu, scale, all.cu});
  double off = 0.0;
  for_rows([&](int64_t to, int64_t from) {
    for (int64_t j = 0; j < 7; ++j)
      off = test::worse(off, std::abs(o.row<double>(to)[j] - d.o.row<double>(from)[j]));
    off = test::worse(
        off, std::abs(lse.row<double>(to / 3)[to % 3] - d.lse.row<double>(from / 3)[from % 3]));
  });
  CHECK(off < 1e-12);
}

const Case kCases[] = {{{0, 1}, 1, 1, 2, 3},
                       {{0, 3, 3, 10}, 2, 2, 6, 4},
                       {{0, 50, 51}, 4, 2, 8, 8},
                       {{0, 48, 145}, 3, 1, 5, 7}};

TEST_CASE("attention equals its definition", "[ops]") {
  const Case& c = kCases[GENERATE(0, 1, 2, 3)];
  Tensors make;
  Context ctx(2);
  const Data d(make, DType::f64, c);
  const int64_t t = c.cu.back();
  const Tensor o = make.poisoned(DType::f64, {t, c.heads, c.dim_v});
  const Tensor lse = make.poisoned(DType::f64, {t, c.heads});
  attention_forward(ctx, d.o, d.lse, d.q, d.k, d.v, {c.cu, 0.4});
  naive_attention(o, lse, d, c, 0.4);
  CHECK(test::relative_difference(d.o, o) < 1e-13);
  CHECK(test::relative_difference(d.lse, lse) < 1e-13);
  attention_forward(ctx, d.o, {}, d.q, d.k, d.v, {c.cu, 0.4});  // lse is optional
  CHECK(test::relative_difference(d.o, o) < 1e-13);
}

TEST_CASE("attention's gradients", "[ops][gradient]") {
  const Case& c = kCases[GENERATE(0, 1, 2, 3)];
  Tensors make;
  Context ctx(2);
  const Data d(make, DType::f64, c);
  const int64_t t = c.cu.back();
  const AttentionShape shape{c.cu, 0.4};
  const AttentionGrads grads{make.zeros_slice(DType::f64, {t, c.heads, c.dim}),
                             make.zeros_slice(DType::f64, {t, c.kv_heads, c.dim}),
                             make.zeros_slice(DType::f64, {t, c.kv_heads, c.dim_v})};
  const auto loss = [&] {
    attention_forward(ctx, d.o, d.lse, d.q, d.k, d.v, shape);
    return test::dot_all(d.o, d.d_o);
  };
  loss();
  attention_backward(ctx, grads, d.d_o, {d.q, d.k, d.v, d.o, d.lse}, shape);
  CHECK(test::check_gradient(d.q, grads.dq, loss, 60).relative < 1e-8);
  CHECK(test::check_gradient(d.k, grads.dk, loss, 60).relative < 1e-8);
  CHECK(test::check_gradient(d.v, grads.dv, loss, 60).relative < 1e-8);

  const Tensor twice = make.doubled(grads.dk);
  loss();
  attention_backward(ctx, grads, d.d_o, {d.q, d.k, d.v, d.o, d.lse}, shape);
  CHECK(test::relative_difference(grads.dk, twice) < 1e-13);  // adds
}

TEST_CASE("attention in f32 is near f64, and one thread gives the bits of two", "[ops]") {
  const Case& c = kCases[GENERATE(1, 2, 3)];
  Tensors make;
  Context one(1), two(2);
  const Data d(make, DType::f32, c);
  const int64_t t = c.cu.back();
  const Tensor again = make.poisoned(DType::f32, {t, c.heads, c.dim_v});
  attention_forward(one, d.o, d.lse, d.q, d.k, d.v, {c.cu, 0.4});
  attention_forward(two, again, {}, d.q, d.k, d.v, {c.cu, 0.4});
  CHECK(test::same_bits(d.o, again));
  AttentionGrads g1{make.zeros(DType::f32, {t, c.heads, c.dim}),
                    make.zeros(DType::f32, {t, c.kv_heads, c.dim}),
                    make.zeros(DType::f32, {t, c.kv_heads, c.dim_v})};
  AttentionGrads g2{make.zeros(DType::f32, {t, c.heads, c.dim}),
                    make.zeros(DType::f32, {t, c.kv_heads, c.dim}),
                    make.zeros(DType::f32, {t, c.kv_heads, c.dim_v})};
  attention_backward(one, g1, d.d_o, {d.q, d.k, d.v, d.o, d.lse}, {c.cu, 0.4});
  attention_backward(two, g2, d.d_o, {d.q, d.k, d.v, d.o, d.lse}, {c.cu, 0.4});
  CHECK(test::same_bits(g1.dq, g2.dq));
  CHECK(test::same_bits(g1.dk, g2.dk));
  CHECK(test::same_bits(g1.dv, g2.dv));
}

}  // namespace
}  // namespace temper
