// Products whose rows are picked by an index, on the GPU.
#include "model/ops/linear.h"
#include "model/ops/permute.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::Layout;
using test::on_each;
using test::Sides;

constexpr DType f = DType::f32;

TEST_CASE("cuda: products of picked rows have the bits of those of rows laid out", "[ops][cuda]") {
  on_each(0.0, 0.0, [](Sides& s, double) {
    struct Size {
      int64_t n, k, tokens;
      std::vector<int32_t> offsets;
    };
    for (const Size& z : {Size{1, 1, 1, {0, 1}}, Size{33, 17, 9, {0, 0, 5, 70, 70, 71}},
                          Size{136, 72, 50, {0, 129, 129, 400}}, Size{256, 512, 3, {0, 3, 3, 5}},
                          Size{200, 320, 333, {0, 1, 1, 131, 208, 508, 572, 637, 1148}}}) {
      if (test::quick(2) && z.tokens > 50) continue;
      CAPTURE(z.n, z.k);
      const auto experts = static_cast<int64_t>(z.offsets.size()) - 1;
      const int64_t rows = z.offsets.back();
      std::vector<int32_t> order;  // some tokens several times, some never
      for (int64_t r = 0; r < rows; ++r)
        order.push_back(static_cast<int32_t>((r * r + 5 * r) % z.tokens));
      const auto laid = [&](const Tensor& from) {
        const Tensor to = s.make.poisoned(f, {rows, from.cols()});
        gather_rows_forward(s.host, to, from, s.make.ints({rows}, order));
        return to;
      };
      const Tensor offsets = s.on_gpu.ints(z.offsets), index = s.on_gpu.ints(order);
      const Tensor x = s.normal({z.tokens, z.k}), dy = s.normal({z.tokens, z.n});
      const Tensor gx = s.up(x), gdy = s.up(dy), rows_x = s.up(laid(x)), rows_dy = s.up(laid(dy));
      const Tensor w = s.dense(s.normal({experts, z.n, z.k}));
      // The same product of both, into poison or added to what is there.
      const auto compare = [&](const Tensor& like, bool wide, auto&& product) {
        for (const bool is_fresh : {true, false}) {
          const auto begin = [&] {
            if (is_fresh) return wide ? s.on_gpu.poisoned(like, f) : s.poisoned(like);
            return wide ? s.wide(like) : s.up(like);
          };
          const Grad got(begin(), is_fresh), again(begin(), is_fresh), want(begin(), is_fresh);
          product(got, true), product(again, true), product(want, false);
          const Layout layout = wide ? Layout::dense : s.layout;
          const Tensor expected = s.on_gpu.download(s.make, want, layout);
          CHECK(test::same_bits(s.on_gpu.download(s.make, got, layout), expected));
          CHECK(test::same_bits(s.on_gpu.download(s.make, again, layout), expected));
        }
      };
      const PickedRows picked_x(gx, index), picked_dy(gdy, index);
      compare(s.normal({rows, z.n}), false, [&](const Grad& y, bool pick) {
        grouped_linear_forward(s.ctx, y, pick ? picked_x : rows_x, w, offsets);
      });
      compare(s.normal({rows, z.k}), false, [&](const Grad& dx, bool pick) {
        grouped_linear_backward(s.ctx, {.dx = dx}, pick ? picked_dy : rows_dy, rows_x, w, offsets);
      });
      const Tensor like_w = s.make.normal(f, {experts, z.n, z.k});
      compare(like_w, true, [&](const Grad& dw, bool pick) {
        grouped_linear_backward(s.ctx, {.dw = dw}, pick ? picked_dy : rows_dy, rows_x, w, offsets);
      });
      compare(like_w, true, [&](const Grad& dw, bool pick) {
        grouped_linear_backward(s.ctx, {.dw = dw}, rows_dy, pick ? picked_x : rows_x, w, offsets);
      });
      compare(like_w, true, [&](const Grad& dw, bool pick) {
        grouped_linear_backward(s.ctx, {.dw = dw}, pick ? picked_dy : rows_dy,
                                pick ? picked_x : rows_x, w, offsets);
      });
    }
  });
}

}  // namespace
}  // namespace temper
