// A checksum of bytes that is as fast as memory: 64 bits, to find damage, not tampering.
#pragma once

#include <cstdint>
#include <string_view>

namespace temper {

// XXH64 with seed 0, so that `xxhsum -H64` gives the same number.
// Source: xxHash specification, "XXH64 algorithm description" (github.com/Cyan4973/xxHash, doc/).
uint64_t xxh64(std::string_view bytes);

}  // namespace temper
