#include "model/optim/loss_scale.h"

#include "core/arena.h"
#include "tests/support/catch.h"

namespace temper {
namespace {

TEST_CASE("the loss's factor is halved by an overflow and doubled by a run of good updates") {
  const OwnedTensor state = allocate(DType::f64, {3});
  LossScale scale(state.view);
  scale.reset();
  CHECK(scale.factor() == kFirstLossScale);
  for (int64_t i = 1; i < kLossScaleGrowth; ++i) scale.grow();
  CHECK(scale.factor() == kFirstLossScale);
  scale.grow();
  CHECK(scale.factor() == 2.0 * kFirstLossScale);

  for (int64_t i = 1; i < kLossScaleGrowth; ++i) scale.grow();
  CHECK(scale.shrink());  // and the run begins again
  CHECK(scale.factor() == kFirstLossScale);
  CHECK(scale.skipped() == 1);
  for (int64_t i = 1; i < kLossScaleGrowth; ++i) scale.grow();
  CHECK(scale.factor() == kFirstLossScale);

  // The state is all there is: another view goes on from it.
  const OwnedTensor saved = allocate(DType::f64, {3});
  for (int i = 0; i < 3; ++i) saved.view.get<double>()[i] = state.view.get<double>()[i];
  scale.grow();
  LossScale again(saved.view);
  again.grow();
  CHECK(again.factor() == scale.factor());
  CHECK(again.skipped() == 1);

  for (double factor = again.factor(); factor > 1.0; factor /= 2.0) CHECK(again.shrink());
  CHECK(again.factor() == 1.0);
  CHECK(!again.shrink());
  for (int64_t i = 0; i < 40 * kLossScaleGrowth; ++i) again.grow();
  CHECK(again.factor() == kMostLossScale);
}

TEST_CASE("where gradients are not scaled, their factor is 1 and stays so") {
  LossScale none{Tensor{}};
  none.reset();
  none.grow();
  CHECK(!none.used());
  CHECK(none.factor() == 1.0);
  CHECK(!none.shrink());
  CHECK(none.skipped() == 0);
}

}  // namespace
}  // namespace temper
