#include "model/ops/decode_attention.h"

#include "model/ops/attention.h"
#include "tests/model/ops/op_test.h"

namespace temper {
namespace {

using test::Tensors;

// Two sequences of 7 and 3 tokens in scattered blocks of 4; every token is a row, out of order.
struct Paged {
  static constexpr int64_t kTokens = 10, kBlockSize = 4;
  std::vector<int32_t> cu = {0, 7, 10};
  PagedRows rows;
  Tensor slots;
  std::vector<int64_t> token;  // the packed token of each row

  explicit Paged(Tensors& make) {
    rows.block_table = make.ints({2, 2}, {5, 2, 3, -1});
    std::vector<int32_t> sequence, length, slot;
    for (int64_t i = 0; i < kTokens; ++i) {
      const int64_t t = (i * 3 + 4) % kTokens;
      const int32_t s = t < 7 ? 0 : 1, at = static_cast<int32_t>(s == 0 ? t : t - 7);
      token.push_back(t);
      sequence.push_back(s);
      length.push_back(at + 1);
      slot.push_back(rows.block_table.row<int32_t>(s)[at / 4] * 4 + at % 4);
    }
    rows.row_sequence = make.ints({kTokens}, sequence);
    rows.context_length = make.ints({kTokens}, length);
    slots = make.ints({kTokens}, slot);
  }
  // The rows of `packed` [10, ...] in the order of the decode batch.
  Tensor reorder(Tensors& make, const Tensor& packed) const {
    const Tensor out = make.copy_of(packed);
    const int64_t each = packed.rows() / kTokens;
    dispatch_float(packed.dtype, [&]<class T>() {
      for (int64_t r = 0; r < packed.rows(); ++r) {
        const T* from = packed.row<T>(token[static_cast<size_t>(r / each)] * each + r % each);
        std::copy(from, from + packed.cols(), out.row<T>(r));
      }
    });
    return out;
  }
};

// [10, heads, dim] -> [10, heads * dim] in columns [first, ...) of `to`.
void put_heads(const Tensor& to, int64_t first, const Tensor& from) {
  const int64_t heads = from.dim(1), dim = from.cols();
  dispatch_float(from.dtype, [&]<class T>() {
    for (int64_t r = 0; r < from.rows(); ++r)
      std::copy(from.row<T>(r), from.row<T>(r) + dim,
                to.row<T>(r / heads) + first + r % heads * dim);
  });
}

TEST_CASE("paged grouped-query attention equals packed attention", "[ops]") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  Tensors make;
  Context one(1), two(2);
  const Paged paged(make);
  const int64_t n = Paged::kTokens, heads = 6, kv = 2, dim = 9;
  const Tensor q = make.normal_slice(dtype, {n, heads, dim}), k = make.normal(dtype, {n, kv, dim});
  const Tensor v = make.normal(dtype, {n, kv, dim}),
               expected = make.poisoned(dtype, {n, heads, dim});
  attention_forward(two, expected, {}, q, k, v, {paged.cu, 0.3});
  const Tensor values = make.poisoned(dtype, {n, 2 * kv * dim});
  put_heads(values, 0, k);
  put_heads(values, kv * dim, v);
  const Tensor cache = make.poisoned(dtype, {6, 4, 2 * kv * dim});
  cache_write(two, cache, paged.reorder(make, values), paged.slots);
  const Tensor o = make.slice(dtype, {n, heads, dim}), again = make.slice(dtype, {n, heads, dim});
  const Tensor rows = paged.reorder(make, q);
  gqa_decode_attention(two, o, rows, cache, paged.rows, 0.3);
  const double bound = dtype == DType::f32 ? 2e-6 : 1e-13;
  CHECK(test::relative_difference(o, paged.reorder(make, expected)) < bound);
  gqa_decode_attention(one, again, rows, cache, paged.rows, 0.3);
  CHECK(test::same_bits(o, again));
}

TEST_CASE("paged latent attention equals packed attention over the latent", "[ops]") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  Tensors make;
  Context one(1), two(2);
  const Paged paged(make);
  const int64_t n = Paged::kTokens, heads = GENERATE(1, 5), latent = 13, rope = 6;
  // Multi-query attention whose key is [c; r] and whose value is c.
  const Tensor q = make.normal_slice(dtype, {n, heads, latent + rope});
  const Tensor k = make.normal_slice(dtype, {n, 1, latent + rope});
  const Tensor expected = make.poisoned(dtype, {n, heads, latent});
  attention_forward(two, expected, {}, q, k, k.slice_cols(0, latent), {paged.cu, 0.3});
  const Tensor cache = make.poisoned(dtype, {6, 4, latent + rope});
  cache_write(two, cache, paged.reorder(make, k).reshape({n, latent + rope}), paged.slots);
  const Tensor rows = paged.reorder(make, q);
  const Tensor o = make.slice(dtype, {n, heads, latent}),
               again = make.slice(dtype, {n, heads, latent});
  mla_decode_attention(two, o, rows.slice_cols(0, latent), rows.slice_cols(latent, rope), cache,
                       paged.rows, 0.3);
  const double bound = dtype == DType::f32 ? 2e-6 : 1e-13;
  CHECK(test::relative_difference(o, paged.reorder(make, expected)) < bound);
  mla_decode_attention(one, again, rows.slice_cols(0, latent), rows.slice_cols(latent, rope), cache,
                       paged.rows, 0.3);
  CHECK(test::same_bits(o, again));
}

TEST_CASE("decode refuses slots and lengths outside the cache", "[ops]") {
  Tensors make;
  Context ctx(1);
  const Tensor cache = make.zeros(DType::f32, {2, 4, 6}), values = make.zeros(DType::f32, {1, 6});
  CHECK_THROWS_AS(cache_write(ctx, cache, values, make.ints({1}, {8})), ContractError);
  const Tensor q = make.zeros(DType::f32, {1, 1, 3}), o = make.zeros(DType::f32, {1, 1, 3});
  PagedRows rows{make.ints({1, 2}, {0, 1}), make.ints({1}, {0}), make.ints({1}, {9})};
  CHECK_THROWS_AS(gqa_decode_attention(ctx, o, q, cache, rows, 1.0), ContractError);
}

}  // namespace
}  // namespace temper
