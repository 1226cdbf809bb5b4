#include "model/ops/adamw.h"

#include "core/narrow_float.h"
#include "tests/model/ops/op_test.h"

namespace temper {
namespace {

using test::Tensors;

TEST_CASE("adamw equals its formula over several steps", "[ops]") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  Tensors make;
  Context ctx(2);
  const int64_t n = 101;
  const Tensor w = make.normal(dtype, {n}), m = make.zeros(dtype, {n}), v = make.zeros(dtype, {n});
  AdamWParams params;
  params.lr = 0.01;
  params.weight_decay = 0.1;
  params.grad_scale = 0.5;
  const OwnedTensor squares = allocate(DType::f64, {1});
  dispatch_float(dtype, [&]<class T>() {
    std::vector<double> ew(n), em(n), ev(n);
    for (int64_t i = 0; i < n; ++i) ew[static_cast<size_t>(i)] = static_cast<double>(w.get<T>()[i]);
    for (params.step = 1; params.step <= 5; ++params.step) {
      const Tensor grad = make.normal(dtype, {n});
      const Tensor before = make.copy_of(w);
      adamw_step(ctx, {w, m, v, grad, {}, squares.view}, params);
      double changed = 0.0;
      for (int64_t i = 0; i < n; ++i)
        changed += std::pow(static_cast<double>(w.get<T>()[i] - before.get<T>()[i]), 2);
      CHECK(*squares.view.get<double>() == Approx(changed).epsilon(1e-5));
      CHECK(changed > 0.0);
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
        const double g = static_cast<double>(grad.get<T>()[i]) * 0.5;
        em[i] = 0.9 * em[i] + 0.1 * g;
        ev[i] = 0.95 * ev[i] + 0.05 * g * g;
        const double step = static_cast<double>(params.step);
        const double mean = em[i] / (1 - std::pow(0.9, step));
        const double root = std::sqrt(ev[i] / (1 - std::pow(0.95, step)));
        ew[i] -= 0.01 * (mean / (root + 1e-8) + 0.1 * ew[i]);
      }
    }
    for (int64_t i = 0; i < n; ++i)
      CHECK(static_cast<double>(w.get<T>()[i]) == Approx(ew[static_cast<size_t>(i)])
                                                      .epsilon(dtype == DType::f32 ? 1e-5 : 1e-12)
                                                      .margin(1e-7));
  });
}

TEST_CASE("adamw's bf16 moments are the f32 moments, rounded", "[ops]") {
  Tensors make;
  Context one(1), two(2);
  const int64_t n = 20011;
  const Tensor w = make.normal(DType::f32, {n}), other = make.copy_of(w);
  const Tensor grad = make.normal(DType::f32, {n});
  const Tensor m = make.zeros(DType::f32, {n}), v = make.zeros(DType::f32, {n});
  const Tensor mh = make.zeros(DType::bf16, {n}), vh = make.zeros(DType::bf16, {n});
  adamw_step(one, {w, m, v, grad}, {});
  adamw_step(two, {other, mh, vh, grad}, {});
  CHECK(test::same_bits(w, other));  // the first step uses the moments before they are rounded
  int wrong = 0;
  for (int64_t i = 0; i < n; ++i) {
    wrong += static_cast<uint16_t*>(mh.data)[i] != to_bf16(m.get<float>()[i]);
    wrong += static_cast<uint16_t*>(vh.data)[i] != to_bf16(v.get<float>()[i]);
  }
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace temper
