// A product that has come often is timed; what it gives must not show it.
#include "model/ops/linear.h"
#include "tests/model/ops/cuda/cuda_op_test.h"

namespace temper {
namespace {

using test::Sides;

TEST_CASE("cuda: a product has the same bits before and after its timing", "[ops][cuda]") {
  Context* ctx = test::gpu();
  if (ctx == nullptr) return;
  Sides s{*ctx, DType::bf16};
  struct Size {
    int64_t t, n, k;
  };
  for (const Size& z : {Size{777, 1000, 776}, Size{1024, 1536, 1024}, Size{4096, 32, 4096}}) {
    if (test::quick(2) && z.t > 777) break;
    CAPTURE(z.t, z.n, z.k);
    const Tensor x = s.up(s.normal({z.t, z.k})), w = s.up(s.normal({z.n, z.k}));
    const Tensor dy = s.up(s.normal({z.t, z.n}));
    const Tensor residual = s.normal({z.t, z.n}), before = s.normal({z.t, z.k});
    const Tensor y = s.up(residual), dx = s.up(before), like = s.make.zeros(DType::f32, {z.n, z.k});
    const Tensor dw = s.on_gpu.poisoned(like, DType::f32);
    std::vector<Tensor> first;
    for (int use = 0; use < 36; ++use) {
      const Tensor sum = use % 35 == 0 ? s.up(before) : dx;  // adding in place moves on
      linear_add_forward(s.ctx, y, x, w);
      linear_backward(s.ctx, {.dx = sum, .dw = fresh(dw)}, dy, x, w);
      if (use % 35 != 0) continue;
      const Tensor again = s.up(residual);
      linear_add_forward(s.ctx, again, x, w);
      const std::vector<Tensor> now = {s.on_gpu.download(s.make, again),
                                       s.on_gpu.download(s.make, sum),
                                       s.on_gpu.download(s.make, dw)};
      if (first.empty()) first = now;
      for (size_t i = 0; i < now.size(); ++i) CHECK(test::same_bits(now[i], first[i]));
    }
  }
}

}  // namespace
}  // namespace temper
