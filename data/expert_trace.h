// Which experts the tokens of a prompt and its completion went to.
#pragma once

#include <cstdint>
#include <vector>

namespace temper {

// experts[(t * layers + l) * top_k + k]: token t, MoE layer l of the main model, ascending in k.
// The last token of a completion is never computed, so it has no entry.
struct ExpertTrace {
  std::vector<uint16_t> experts;
  int64_t per_token = 0;  // layers * top_k; 0: nothing is known

  bool empty() const { return experts.empty(); }
  int64_t tokens() const {
    return per_token > 0 ? static_cast<int64_t>(experts.size()) / per_token : 0;
  }
};

}  // namespace temper
