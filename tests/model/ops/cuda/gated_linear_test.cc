// The experts' products with the gate in them, forward and back: the GPU's results against the
// CPU's and against the same ops one by one, and what they leave of their gradients' squares.
#include "model/ops/gated_linear.h"

#include <cstdlib>

#include "model/ops/gradient_squares.h"
#include "model/ops/linear.h"
#include "model/ops/permute.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::Layout;
using test::on_each;
using test::Sides;

constexpr DType f = DType::f32;

struct Size {
  int64_t tokens, k, d, inner;
  std::vector<int32_t> experts;  // that the choices go to in turn
};

// Tokens with k choices each, sorted by expert on both sides.
struct Choices {
  Tensor row_of, token_of, offsets;  // on the CPU
  Tensor gpu_row_of, gpu_token_of, gpu_offsets;

  Choices(Sides& s, const Size& z, int64_t experts) {
    const int64_t rows = z.tokens * z.k;
    std::vector<int32_t> chosen;
    for (int64_t c = 0; c < rows; ++c)
      chosen.push_back(z.experts[static_cast<size_t>(c) % z.experts.size()]);
    row_of = s.make.ints({z.tokens, z.k}, std::vector<int32_t>(static_cast<size_t>(rows)));
    token_of = s.make.ints({rows}, std::vector<int32_t>(static_cast<size_t>(rows)));
    offsets = s.make.ints({experts + 1}, std::vector<int32_t>(static_cast<size_t>(experts + 1)));
    ExpertPlan plan;
    plan.offsets = offsets, plan.row_of = row_of, plan.token_of = token_of;
    plan_experts(s.host, plan, s.make.ints({z.tokens, z.k}, chosen));
    gpu_row_of = s.on_gpu.upload(row_of), gpu_token_of = s.on_gpu.upload(token_of);
    gpu_offsets = s.on_gpu.upload(offsets);
  }
};

// One step of 64 of the inner dimension and as many as the epilogues have parts, and more; the last
// tiles of a group alone and in pairs; an expert without rows; columns that are no whole tile; rows
// so few, and widths such, that other kernels take them; rows picked and laid out first.
const std::vector<Size>& sizes() {
  static const std::vector<Size> all = {
      {150, 2, 64, 128, {0, 0, 1}},        {233, 3, 1032, 384, {2, 0, 3, 3, 3, 0, 3}},
      {400, 1, 520, 136, {1, 0}},          {20, 2, 72, 128, {0, 1, 2}},
      {300, 1, 136, 896, {0, 0, 0, 0, 1}},
  };
  return all;
}
constexpr int64_t kExperts = 4;

TEST_CASE("cuda: experts' products and their gate are the CPU's", "[ops][cuda]") {
  on_each(3e-6, 6e-3, [](Sides& s, double bound) {
    for (const Size& z : sizes()) {
      if (test::quick(2) && z.d > 500) continue;
      CAPTURE(z.d, z.inner);
      const int64_t rows = z.tokens * z.k;
      const Choices c(s, z, kExperts);
      const Tensor x = s.normal({z.tokens, z.d}), w = s.normal({kExperts, 2 * z.inner, z.d}, 0.1);
      const Tensor y = s.make.poisoned(f, {rows, z.inner});
      const Tensor both = s.make.poisoned(f, {rows, 2 * z.inner});
      grouped_gated_forward(s.host, y, both, {x, c.token_of}, w, c.offsets);
      const Tensor gpu_w = s.dense(w);
      const PickedRows picked(s.up(x), c.gpu_token_of, c.gpu_row_of);
      const Tensor laid = s.poisoned(s.make.normal(f, {rows, z.d}));
      gather_rows_forward(s.ctx, laid, picked.from, c.gpu_token_of);
      const Tensor plain = s.poisoned(y), plain_both = s.poisoned(both);
      grouped_linear_forward(s.ctx, plain_both, laid, gpu_w, c.gpu_offsets);
      swiglu_forward(s.ctx, plain, plain_both.slice_cols(0, z.inner),
                     plain_both.slice_cols(z.inner, z.inner));
      const auto same = [&](const Tensor& a, const Tensor& b) {
        return test::same_bits(s.on_gpu.download(s.make, a, s.layout),
                               s.on_gpu.download(s.make, b, s.layout));
      };
      for (const PickedRows& from : {picked, PickedRows(laid)}) {
        const Tensor got = s.poisoned(y), got_both = s.poisoned(both), alone = s.poisoned(y);
        grouped_gated_forward(s.ctx, got, got_both, from, gpu_w, c.gpu_offsets);
        grouped_gated_forward(s.ctx, alone, {}, from, gpu_w, c.gpu_offsets);
        CHECK(s.off(got_both, both) < bound);
        CHECK(s.off(got, y) < 2 * bound);
        CHECK(s.off(alone, y) < 2 * bound);
        // With few rows other kernels add in another order.
        if (rows <= 64 * kExperts) continue;
        CHECK(same(got_both, plain_both));
        CHECK(same(got, plain));
        CHECK(same(alone, plain));
      }
    }
  });
}

TEST_CASE("cuda: the way back through the experts' gate is the CPU's", "[ops][cuda]") {
  on_each(3e-6, 1e-2, [](Sides& s, double bound) {
    for (const Size& z : sizes()) {
      if (test::quick(2) && z.d > 500) continue;
      CAPTURE(z.d, z.inner);
      const int64_t rows = z.tokens * z.k;
      const Choices c(s, z, kExperts);
      const Tensor dy = s.normal({z.tokens, z.d}), down = s.normal({kExperts, z.d, z.inner}, 0.1);
      const Tensor gate_up = s.normal({rows, 2 * z.inner});
      const Tensor weights = s.make.normal(f, {z.tokens, z.k});
      const Tensor start = s.make.normal(f, {z.tokens, z.k});
      const Tensor dgate_up = s.make.poisoned(f, {rows, 2 * z.inner});
      const Tensor zs = s.make.poisoned(f, {rows, z.inner}), dweights = s.make.copy_of(start);
      grouped_gated_backward(s.host, {dgate_up, zs, dweights}, {dy, c.token_of},
                             {gate_up, down, c.offsets, {weights, c.row_of}});
      const GatedLayer layer{
          s.up(gate_up), s.dense(down), c.gpu_offsets, {s.wide(weights), c.gpu_row_of}};
      const PickedRows picked(s.up(dy), c.gpu_token_of);
      const Tensor laid = s.poisoned(s.make.normal(f, {rows, z.d}));
      gather_rows_forward(s.ctx, laid, picked.from, c.gpu_token_of);
      std::vector<Tensor> bits;
      for (const PickedRows& from : {picked, PickedRows(laid), picked}) {
        const Tensor got = s.poisoned(dgate_up), got_z = s.poisoned(zs), sums = s.wide(start);
        grouped_gated_backward(s.ctx, {got, got_z, sums}, from, layer);
        CHECK(s.off(got, dgate_up) < bound);
        CHECK(s.off(got_z, zs) < bound);
        CHECK(s.off(sums, dweights, Layout::dense) < bound);
        const Tensor alone = s.on_gpu.poisoned(start, f);
        grouped_gated_backward(s.ctx, {got, got_z, fresh(alone)}, from, layer);
        add(s.ctx, alone, alone, s.wide(start));
        CHECK(s.off(alone, dweights, Layout::dense) < bound);
        for (const Tensor& t : {got, got_z}) bits.push_back(s.on_gpu.download(s.make, t, s.layout));
        bits.push_back(s.on_gpu.download(s.make, sums));
      }
      for (size_t i = 3; i < bits.size(); ++i) CHECK(test::same_bits(bits[i], bits[i % 3]));
    }
  });
}

// In 16 bits with tiles for all multiprocessors and an output's whole row of them, else few.
TEST_CASE("cuda: one layer's products with the gate in them are the CPU's", "[ops][cuda]") {
  on_each(3e-6, 1e-2, [](Sides& s, double bound) {
    const bool many =
        !test::quick() && ((s.dtype == DType::bf16 && s.layout == Layout::dense) ||
                           (s.dtype == DType::f16 && s.layout == Layout::aligned_slice));
    const int64_t rows = many ? 6500 : 37, d = 72, inner = 4096;
    const Tensor x = s.normal({rows, d}), w = s.normal({2 * inner, d}, 0.1);
    const Tensor dy = s.normal({rows, d}), down = s.normal({d, inner}, 0.1);
    const Tensor y = s.make.poisoned(f, {rows, inner}), z = s.make.poisoned(f, {rows, inner});
    const Tensor both = s.make.poisoned(f, {rows, 2 * inner});
    const Tensor dboth = s.make.poisoned(f, {rows, 2 * inner});
    gated_forward(s.host, y, both, x, w);
    const Tensor gpu_x = s.up(x), gpu_w = s.dense(w), alone = s.poisoned(y);
    const Tensor gpu_y = s.poisoned(y), gpu_both = s.poisoned(both);
    gated_forward(s.ctx, gpu_y, gpu_both, gpu_x, gpu_w);
    gated_forward(s.ctx, alone, {}, gpu_x, gpu_w);
    CHECK(s.off(gpu_both, both) < bound);
    CHECK(s.off(gpu_y, y) < bound);
    CHECK(s.off(alone, y) < bound);
    test::round_to(s.dtype, both);
    gated_backward(s.host, {dboth, z, {}}, dy, both, down);
    const Tensor saved = s.up(both), gpu_dy = s.up(dy), gpu_down = s.dense(down);
    const Tensor gpu_dboth = s.poisoned(dboth), gpu_z = s.poisoned(z);
    gated_backward(s.ctx, {gpu_dboth, gpu_z, {}}, gpu_dy, saved, gpu_down);
    CHECK(s.off(gpu_dboth, dboth) < bound);
    CHECK(s.off(gpu_z, z) < bound);
  });
}

TEST_CASE("cuda: squares that weights' gradients leave are those of the gradients", "[ops][cuda]") {
  on_each(1e-6, 1e-6, [](Sides& s, double bound) {
    struct Shape {
      int64_t n, k;
      std::vector<int32_t> offsets;
    };
    for (const Shape& z : {Shape{136, 264, {0, 70, 70, 300}}, Shape{256, 512, {0, 200}},
                           Shape{64, 520, {0, 3, 64, 65, 400}}}) {
      CAPTURE(z.n, z.k);
      const auto experts = static_cast<int64_t>(z.offsets.size()) - 1;
      const int64_t rows = z.offsets.back(), size = experts * z.n * z.k, gap = 192;
      const Tensor offsets = s.on_gpu.ints(z.offsets);
      const Tensor dy = s.up(s.normal({rows, z.n})), x = s.up(s.normal({rows, z.k}));
      const Tensor w = s.dense(s.normal({experts, z.n, z.k}));
      // Two gradients with something before, between and behind them.
      const Tensor flat = s.wide(s.make.normal(f, {3 * gap + 2 * size}));
      const auto part = [&](int64_t at) {
        return make_tensor(static_cast<float*>(flat.data) + at, f, {experts, z.n, z.k},
                           Device::cuda);
      };
      GradientSquares squares;
      for (const int64_t at : {2 * gap + size, gap}) {
        const Tensor dw = part(at);
        const Grad grad(dw, true, &squares);
        grouped_linear_backward(s.ctx, {.dw = grad}, dy, x, w, offsets);
      }
      const bool leaves = gpu_info().capability_major == 9 &&
                          std::getenv("TEMPER_TEST_CARD") == nullptr && s.dtype != f &&
                          s.layout != Layout::odd_slice;
      CHECK(squares.known().size() == (leaves ? 2 : 0));
      const double want = sum_of_squares(s.ctx, flat);
      CHECK(sum_of_squares(s.ctx, flat, squares) == Approx(want).epsilon(bound));
      CHECK(sum_of_squares(s.ctx, flat, squares) == sum_of_squares(s.ctx, flat, squares));
      squares.forget();
      CHECK(sum_of_squares(s.ctx, flat, squares) == want);
      const Tensor dw = part(gap);
      grouped_linear_backward(s.ctx, {.dw = Grad(dw, false, &squares)}, dy, x, w, offsets);
      CHECK(squares.known().empty());  // of a sum with what was there nothing is known
    }
  });
}

}  // namespace
}  // namespace temper
