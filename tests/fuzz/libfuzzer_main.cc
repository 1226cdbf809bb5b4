// The entry of libFuzzer: the program's name says which target it runs (fuzz_gguf: gguf).
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include "tests/fuzz/targets.h"

namespace {
const temper::test::FuzzTarget* chosen = nullptr;
}

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  std::string_view name = *argc > 0 ? (*argv)[0] : "";
  name.remove_prefix(name.rfind('/') + 1);  // npos + 1 == 0
  for (const temper::test::FuzzTarget& target : temper::test::fuzz_targets())
    if (name == "fuzz_" + std::string(target.name)) chosen = &target;
  if (chosen != nullptr) return 0;
  std::cerr << name << ": not fuzz_ and the name of a target\n";
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  run_fuzz_target(*chosen, {reinterpret_cast<const char*>(data), size});
  return 0;
}
