// The one place that knows which Catch2 is installed: 2.13 (Debian 12) or 3 (newer distributions).
#pragma once

#ifdef TEMPER_CATCH2_V2
#include <catch2/catch.hpp>
using Catch::Contains;
#else
#include <catch2/catch_all.hpp>
using Catch::Approx;

// A matcher: the text has `part` in it.
inline auto Contains(const std::string& part) {
  return Catch::Matchers::ContainsSubstring(part);
}
#endif
