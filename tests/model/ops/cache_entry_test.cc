#include "model/ops/cache_entry.h"

#include "tests/model/ops/op_test.h"

namespace temper {
namespace {

using test::Tensors;

double at(const Tensor& t, int64_t row, int64_t col) {
  return t.row<double>(row)[col];
}

TEST_CASE("an entry of latent attention is the normed latent and the rotated key") {
  Context ctx(2);
  Tensors make;
  const int64_t rows = 3, heads = 2, nope = 5, rope = 4, latent = 6, dim = nope + rope;
  const DType f = DType::f64;
  const Tensor q_flat = make.normal_slice(f, {rows, heads * dim});
  const Tensor kv_a = make.normal_slice(f, {rows, latent + rope});
  const Tensor norm = make.normal(f, {latent}), cos = make.normal(f, {rows, rope / 2});
  const Tensor sin = make.normal(f, {rows, rope / 2}), slots = make.ints({rows}, {5, 0, 3});
  const Tensor q = make.poisoned(f, {rows, heads, dim});
  const Tensor cache = make.poisoned(f, {2, 4, latent + rope});
  write_mla_entry(ctx, {cache, q, q_flat, kv_a, norm, cos, sin, slots, 1e-3});
  for (int64_t n = 0; n < rows; ++n) {
    const int64_t slot = slots.get<int32_t>()[n];
    double squares = 0.0;
    for (int64_t j = 0; j < latent; ++j) squares += at(kv_a, n, j) * at(kv_a, n, j);
    const double r = 1.0 / std::sqrt(squares / static_cast<double>(latent) + 1e-3);
    for (int64_t j = 0; j < latent; ++j)
      CHECK(at(cache, slot, j) == Approx(at(kv_a, n, j) * r * norm.get<double>()[j]));
    for (int64_t j = 0; j < rope / 2; ++j) {
      const double c = at(cos, n, j), s = at(sin, n, j);
      const auto check_pair = [&](const Tensor& from, int64_t at_col, double first, double second) {
        const double a = at(from, n, at_col + 2 * j), b = at(from, n, at_col + 2 * j + 1);
        CHECK(first == Approx(a * c - b * s));
        CHECK(second == Approx(a * s + b * c));
      };
      check_pair(kv_a, latent, at(cache, slot, latent + 2 * j),
                 at(cache, slot, latent + 2 * j + 1));
      for (int64_t h = 0; h < heads; ++h)
        check_pair(q_flat, h * dim + nope, at(q, n * heads + h, nope + 2 * j),
                   at(q, n * heads + h, nope + 2 * j + 1));
    }
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t j = 0; j < nope; ++j)
        CHECK(at(q, n * heads + h, j) == at(q_flat, n, h * dim + j));
  }
  CHECK(std::isnan(at(cache, 1, 0)));
}

TEST_CASE("an entry of grouped attention is the rotated keys and the values") {
  Context ctx(2);
  Tensors make;
  const int64_t rows = 3, heads = 4, kv_heads = 2, dim = 6, width = kv_heads * dim;
  const DType f = DType::f64;
  const Tensor q_flat = make.normal_slice(f, {rows, heads * dim});
  const Tensor k = make.normal_slice(f, {rows, width}), v = make.normal_slice(f, {rows, width});
  const Tensor cos = make.normal(f, {rows, dim / 2}), sin = make.normal(f, {rows, dim / 2});
  const Tensor slots = make.ints({rows}, {2, 7, 0}), q = make.poisoned(f, {rows, heads, dim});
  const Tensor cache = make.poisoned(f, {2, 4, 2 * width});
  write_gqa_entry(ctx, {cache, q, q_flat, k, v, cos, sin, slots});
  for (int64_t n = 0; n < rows; ++n) {
    const int64_t slot = slots.get<int32_t>()[n];
    for (int64_t h = 0; h < heads + kv_heads; ++h) {
      const bool query = h < heads;
      const Tensor& from = query ? q_flat : k;
      const int64_t first = (query ? h : h - heads) * dim;
      for (int64_t j = 0; j < dim / 2; ++j) {
        const double a = at(from, n, first + j), b = at(from, n, first + j + dim / 2);
        const double c = at(cos, n, j), s = at(sin, n, j);
        const auto got = [&](int64_t col) {
          return query ? at(q, n * heads + h, col) : at(cache, slot, first + col);
        };
        CHECK(got(j) == Approx(a * c - b * s));
        CHECK(got(j + dim / 2) == Approx(a * s + b * c));
      }
    }
    for (int64_t j = 0; j < width; ++j) CHECK(at(cache, slot, width + j) == at(v, n, j));
  }
  CHECK(std::isnan(at(cache, 1, 0)));
}

}  // namespace
}  // namespace temper
