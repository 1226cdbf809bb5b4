// Which problems of a built-in task are held out: decided by a hash of the problem itself.
#pragma once

#include <cstdint>
#include <string_view>

namespace temper {

// True for about one canonical text in ten (FNV-1a, then a mix of its high bits). A pure function
// of the text, so a problem is on one side in every run, on every machine.
inline bool hashes_to_test(std::string_view canonical) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : canonical) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  }
  hash ^= hash >> 29;
  hash *= 0xBF58476D1CE4E5B9u;
  hash ^= hash >> 32;
  return hash % 10 == 0;
}

}  // namespace temper
