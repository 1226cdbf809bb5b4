// What a benchmark's main does with what its run throws.
#pragma once

#include <cstdio>
#include <exception>

namespace temper::bench {

// The exit code of run(argc, argv); 1, with the message on stderr, if it throws.
inline int main_of(int (*run)(int, char**), int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}

}  // namespace temper::bench
