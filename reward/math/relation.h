// Integer relations between real numbers, found by lattice reduction. A find is a guess to prove.
#pragma once

#include <optional>
#include <vector>

#include "reward/math/flint.h"

namespace temper {

// The bits to which `count` values must be known for find_relation.
slong relation_bits(size_t count);

// Small integers n with n[0] v[0] = n[1] v[1] + n[2] v[2] + ... as far as relation_bits can tell,
// without a common factor, n[0] > 0. nullopt if there are none of up to 15 bits with n[0] != 0.
std::optional<std::vector<long>> find_relation(const std::vector<arb_srcptr>& values);

}  // namespace temper
