// The element types of ggml that Temper reads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace temper {

// Elements come in blocks of `block` numbers in `bytes` bytes.
struct GgmlType {
  uint32_t number;
  const char* name;
  int64_t block;
  size_t bytes;
  void (*decode)(const char* blocks, int64_t count, float* target);  // `count` blocks
};

// nullptr for a type that Temper does not read.
const GgmlType* find_ggml_type(uint32_t number);

}  // namespace temper
