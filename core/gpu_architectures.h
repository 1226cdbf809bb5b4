// Which cards the kernels of a build run on.
#pragma once

#include <string_view>

namespace temper {

// Whether kernels built for `architectures`, which are names as CMake's CMAKE_CUDA_ARCHITECTURES
// has them with spaces between, run on a card of this compute capability. "80-real" is machine
// code, for 8.0 to 8.9; "80-virtual" is what a driver makes code of, for 8.0 and all later ones;
// "80" is both; with an "a" they are for that capability alone. Of other names ("native") all is
// believed. Source: NVIDIA, CUDA C++ Programming Guide, "binary compatibility" and "PTX
// compatibility".
bool runs_on(std::string_view architectures, int major, int minor);

// Whether the kernels for Hopper are among them: they need "90a", "90a-real" or "90a-virtual".
bool has_hopper_code(std::string_view architectures);

}  // namespace temper
