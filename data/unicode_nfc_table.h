// The data behind NFC.
#pragma once

#include <cstddef>
#include <cstdint>

namespace temper {

// Triples {character, first, second}: the canonical decomposition of `character`, which may
// decompose further. second is 0 for a singleton and negative where the pair must not be composed
// again (composition exclusions). In the order of `character`; Hangul syllables are computed.
extern const int32_t kDecompositions[];
extern const size_t kDecompositionCount;

// Triples {first, last, class}: the ranges of characters with a combining class other than 0.
extern const int32_t kCombiningRanges[];
extern const size_t kCombiningRangeCount;

}  // namespace temper
