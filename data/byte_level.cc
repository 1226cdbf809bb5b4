#include "data/byte_level.h"

#include "core/utf8.h"

namespace temper {

ByteAlphabet::ByteAlphabet() {
  byte_of_.fill(-1);
  char32_t next = 0x100;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    const char32_t code = printable ? static_cast<char32_t>(b) : next++;
    append_utf8(characters_[static_cast<size_t>(b)], code);
    byte_of_[code] = b;
  }
}

bool ByteAlphabet::to_bytes(std::string_view token, std::string& bytes) const {
  bytes.clear();
  for (size_t at = 0; at < token.size();) {
    const Utf8Step step = read_utf8(token, at);
    if (!step.valid || step.code >= byte_of_.size() || byte_of_[step.code] < 0) return false;
    bytes += static_cast<char>(byte_of_[step.code]);
    at += step.length;
  }
  return true;
}

std::string ByteAlphabet::to_token(std::string_view bytes) const {
  std::string token;
  for (const char byte : bytes) token += character(static_cast<unsigned char>(byte));
  return token;
}

}  // namespace temper
