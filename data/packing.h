// Packing samples into bins, and the order in which epochs visit them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace temper {

// Best-fit decreasing: the longest first, each into the fullest bin that still has room for it.
// Returns bins of indices into `lengths`, in the order in which they were opened; indices within a
// bin ascend. A length above the capacity gets a bin of its own. Ties go to the earlier bin, so the
// result depends on the lengths alone.
// Source: Ding et al. 2024 ("Fewer Truncations Improve Language Modeling").
std::vector<std::vector<size_t>> pack_best_fit(std::span<const int64_t> lengths, int64_t capacity);

// A permutation of 0 .. n-1 that depends on (seed, epoch) alone (Fisher-Yates over Philox).
std::vector<int64_t> shuffled_order(int64_t n, uint64_t seed, int64_t epoch);

}  // namespace temper
