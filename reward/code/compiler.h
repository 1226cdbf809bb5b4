// Compiling a C++ answer: the compiler runs in the sandbox too, for its input is not trusted.
#pragma once

#include <string>
#include <string_view>

#include "reward/code/descriptor.h"
#include "reward/code/sandbox.h"

namespace temper {

struct CompiledProgram {
  Descriptor executable;  // a sealed file in memory; none if the source does not compile
  std::string fault;      // the compiler's first error
  bool timeout = false;   // it took too long
};

// `compiler -std=gnu++20 -O2`. Throws SystemError if it cannot be started.
CompiledProgram compile_cpp(const Sandbox& sandbox, const std::string& compiler,
                            std::string_view source);

}  // namespace temper
