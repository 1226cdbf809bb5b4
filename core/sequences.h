// Where packed sequences begin and end.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

#include "core/tensor.h"

namespace temper {

// Sequence s is rows cu_seqlens[s] .. cu_seqlens[s+1]. The host reads lengths from the span; the
// GPU's kernels read the same numbers from `on_device` (empty on the CPU).
struct Sequences {
  std::span<const int32_t> cu_seqlens;  // [S+1], ascending from 0
  Tensor on_device = {};                // [S+1] i32

  Sequences() = default;
  template <std::convertible_to<std::span<const int32_t>> Span>
  Sequences(const Span& host, Tensor device = {}) : cu_seqlens(host), on_device(device) {}

  int64_t count() const { return static_cast<int64_t>(cu_seqlens.size()) - 1; }
  int64_t longest() const {
    int64_t most = 0;
    for (size_t s = 0; s + 1 < cu_seqlens.size(); ++s)
      if (cu_seqlens[s + 1] - cu_seqlens[s] > most) most = cu_seqlens[s + 1] - cu_seqlens[s];
    return most;
  }
};

}  // namespace temper
