// What a test of the GPU asks first.
#pragma once

#include <cstdlib>
#include <string_view>

#include "core/device.h"
#include "tests/support/catch.h"

#ifdef TEMPER_WITH_CUDA
#include "core/cuda/runtime.h"
#endif

namespace temper::test {

// Whether there is no GPU here; says so, by which CTest lists the test as skipped. Under
// TEMPER_NEEDS_GPU the test fails instead.
inline bool no_gpu() {
  if (gpu_count() > 0) return false;
  if (std::getenv("TEMPER_NEEDS_GPU") != nullptr) FAIL("no GPU: " << gpu_info().problem);
  WARN("skipped: no GPU");
  return true;
}

// Under TEMPER_TEST_CARD=8.0 a GPU's context takes the kernels that a card of that capability gets.
inline void take_card([[maybe_unused]] Context& ctx) {
#ifdef TEMPER_WITH_CUDA
  const char* card = std::getenv("TEMPER_TEST_CARD");
  if (card == nullptr || ctx.cuda == nullptr) return;
  require(std::string_view(card) == "8.0", "TEMPER_TEST_CARD is 8.0 or nothing");
  ctx.cuda->properties.major = 8;
  ctx.cuda->properties.minor = 0;
#endif
}

}  // namespace temper::test
