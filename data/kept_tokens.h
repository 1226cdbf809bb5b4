// Among which tokens a sampler chose, where it cut its distribution (top-k, top-p, min-p).
#pragma once

#include <cstdint>
#include <vector>

namespace temper {

// The sets of the tokens of a completion, one after another.
struct KeptTokens {
  std::vector<int32_t> counts;  // one a token: the size of its set; empty: nothing is known or cut
  std::vector<int32_t> ids;     // ascending within a set

  bool empty() const { return counts.empty(); }
};

}  // namespace temper
