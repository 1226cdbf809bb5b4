// GPT-2's byte alphabet: each byte has a printable character, so that any bytes can stand in JSON.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace temper {

class ByteAlphabet {
 public:
  ByteAlphabet();

  // The character (UTF-8) that stands for the byte.
  // Source: openai/gpt-2 encoder.py, bytes_to_unicode: printable Latin-1 bytes stand for
  // themselves, the others, in order, for U+0100 and up.
  const std::string& character(unsigned char byte) const { return characters_[byte]; }

  // The bytes that `token` stands for, or false if a character is not of the alphabet.
  bool to_bytes(std::string_view token, std::string& bytes) const;

  // The token text that stands for `bytes`.
  std::string to_token(std::string_view bytes) const;

 private:
  std::array<std::string, 256> characters_;
  std::array<int, 0x180> byte_of_;  // by code point; -1 where none
};

}  // namespace temper
