// The entry of libFuzzer; TEMPER_FUZZ_TARGET names the target.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace temper::test;
  for (const FuzzTarget& target : fuzz_targets())
    if (std::string_view(target.name) == TEMPER_FUZZ_TARGET)
      run_fuzz_target(target, {reinterpret_cast<const char*>(data), size});
  return 0;
}
