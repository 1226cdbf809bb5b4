// The products of a decode step, which has few rows: the GPU's results against the CPU's on the
// same numbers, and the same bits from the ops as they are and recorded, where their kernels begin
// before those in front of them have ended.
#include "core/queue.h"
#include "model/ops/elementwise.h"
#include "model/ops/gated_linear.h"
#include "model/ops/linear.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::on_each;
using test::Sides;

constexpr DType f = DType::f32;

// Runs `op` on a poisoned device tensor: as it is, and twice as a recording that is played, with
// the op's own outcome in front of it.
template <class Op>
void check(Sides& s, const Tensor& expected, double bound, Op&& op) {
  CAPTURE(expected.rows(), expected.cols(), expected.rank);
  const Tensor plain = s.poisoned(expected), played = s.poisoned(expected);
  op(plain);
  Recording recording;
  recording.play(s.ctx, [&] { op(plain); });  // not recorded yet
  for (int i = 0; i < 2; ++i) recording.play(s.ctx, [&] { op(played), op(played); });
  const Tensor first = s.on_gpu.download(s.make, plain, s.layout);
  const Tensor again = s.on_gpu.download(s.make, played, s.layout);
  CHECK(test::relative_difference(first, expected.reshape({expected.rows(), expected.cols()})) <
        bound);
  CHECK(test::relative_difference(again, first) == 0.0);
}

TEST_CASE("cuda: few rows an expert: products and gates are the CPU's", "[ops][cuda]") {
  on_each(3e-6, 6e-3, [](Sides& s, double bound) {
    struct Size {
      int64_t n, k;
      std::vector<int32_t> offsets;
    };
    const Size wide = test::quick(2) ? Size{72, 192, {}} : Size{200, 640, {}};
    for (const Size& z :
         {Size{24, 40, {0, 1}}, Size{72, 200, {0, 0, 5, 38, 38, 41}}, Size{136, 64, {0, 0, 0, 3}},
          Size{64, 1032, {0, 16, 32, 33}}, Size{wide.n, wide.k, {0, 64, 64, 129, 170, 171, 240}}}) {
      CAPTURE(z.n, z.k);
      if (test::quick(2) && (z.n == 136 || z.k == 1032)) continue;
      const auto experts = static_cast<int64_t>(z.offsets.size()) - 1;
      const int64_t rows = z.offsets.back();
      const Tensor offsets = s.make.ints({experts + 1}, z.offsets);
      const Tensor gpu_offsets = s.on_gpu.ints(z.offsets);
      const Tensor x = s.normal({rows, z.k}), w = s.normal({experts, 2 * z.n, z.k}, 0.1);
      const Tensor gpu_x = s.up(x), gpu_w = s.on_gpu.upload(w, s.dtype);
      const Tensor y = s.make.poisoned(f, {rows, 2 * z.n}), act = s.make.poisoned(f, {rows, z.n});
      grouped_linear_forward(s.host, y, x, w, offsets);
      check(s, y, bound, [&](const Tensor& to) {
        grouped_linear_forward(s.ctx, to, gpu_x, gpu_w, gpu_offsets);
      });
      // The GPU rounds gate and up before it multiplies them.
      grouped_gated_forward(s.host, act, {}, x, w, offsets);
      check(s, act, 2 * bound, [&](const Tensor& to) {
        grouped_gated_forward(s.ctx, to, {}, gpu_x, gpu_w, gpu_offsets);
      });
    }
  });
}

// Sizes for the kernel that has all weights of its columns at hand, and some for the others.
TEST_CASE("cuda: products of few rows are the CPU's", "[ops][cuda]") {
  on_each(3e-6, 6e-3, [](Sides& s, double bound) {
    struct Size {
      int64_t rows, n, k;
    };
    for (const Size& z : {Size{1, 32, 64}, Size{64, 1024, 1024}, Size{5, 96, 576},
                          Size{64, 2112, 1024}, Size{33, 64, 40}, Size{65, 64, 64}}) {
      CAPTURE(z.rows, z.n, z.k);
      const Tensor x = s.normal({z.rows, z.k}), w = s.normal({z.n, z.k}, 0.1);
      const Tensor gpu_x = s.up(x), gpu_w = s.on_gpu.upload(w, s.dtype);
      const Tensor y = s.make.poisoned(f, {z.rows, z.n});
      linear_forward(s.host, y, x, w);
      check(s, y, bound, [&](const Tensor& to) { linear_forward(s.ctx, to, gpu_x, gpu_w); });
      // Onto a stream, which is wide: from 0, so that the same call twice would show.
      const Tensor start = s.make.normal(f, {z.rows, z.n});
      const Tensor gpu_start = s.on_gpu.upload(start, f);
      const Tensor sum = s.on_gpu.poisoned(start, f);
      linear_add_forward(s.host, start, x, w);
      Recording recording;
      for (int i = 0; i < 3; ++i)
        recording.play(s.ctx, [&] {
          copy(s.ctx, sum, gpu_start);
          linear_add_forward(s.ctx, sum, gpu_x, gpu_w);
        });
      CHECK(test::relative_difference(s.on_gpu.download(s.make, sum), start) < bound);
    }
    const int64_t rows = 19, heads = 4, n = 128, k = 512;
    const Tensor x = s.normal({rows, heads, k}), w = s.normal({heads, n * k}, 0.1);
    const Tensor gpu_x = s.on_gpu.upload(x, s.dtype), gpu_w = s.on_gpu.upload(w, s.dtype);
    const Tensor y = s.make.poisoned(f, {rows, heads, n});
    head_linear_forward(s.host, y, x, w);
    check(s, y, bound, [&](const Tensor& to) { head_linear_forward(s.ctx, to, gpu_x, gpu_w); });
  });
}

}  // namespace
}  // namespace temper
