// What a test of the GPU asks first.
#pragma once

#include "core/device.h"
#include "tests/support/catch.h"

namespace temper::test {

// Whether there is no GPU here; says so, by which CTest lists the test as skipped.
inline bool no_gpu() {
  if (gpu_count() > 0) return false;
  WARN("skipped: no GPU");
  return true;
}

}  // namespace temper::test
