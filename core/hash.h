// A fingerprint of bytes, to tell whether a file is the one a run saw.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace temper {

// FNV-1a, 64 bits (Fowler, Noll, Vo). Not a defence against anybody.
constexpr uint64_t fnv1a(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

// "fnv1a:9e107d9d372bb682": what the database keeps.
inline std::string fingerprint(std::string_view bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text = "fnv1a:";
  const uint64_t hash = fnv1a(bytes);
  for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(hash >> shift) & 15];
  return text;
}

}  // namespace temper
