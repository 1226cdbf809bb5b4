#include "model/checkpoint/ggml_types.h"

#include <array>
#include <cstring>

#include "core/narrow_float.h"

namespace temper {
namespace {

float f16_at(const char* at) {
  uint16_t bits;
  std::memcpy(&bits, at, 2);
  return from_f16(bits);
}

void decode_f32(const char* blocks, int64_t count, float* target) {
  std::memcpy(target, blocks, static_cast<size_t>(count) * 4);
}

void decode_f16(const char* blocks, int64_t count, float* target) {
  for (int64_t i = 0; i < count; ++i) target[i] = f16_at(blocks + 2 * i);
}

void decode_bf16(const char* blocks, int64_t count, float* target) {
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, blocks + 2 * i, 2);
    target[i] = from_bf16(bits);
  }
}

// 32 numbers: f16 scale d, then 16 bytes; the low halves are numbers 0..15, the high ones 16..31.
// x = d * (q - 8).
void decode_q4_0(const char* blocks, int64_t count, float* target) {
  for (int64_t b = 0; b < count; ++b, blocks += 18, target += 32) {
    const float d = f16_at(blocks);
    for (int i = 0; i < 16; ++i) {
      const auto q = static_cast<uint8_t>(blocks[2 + i]);
      target[i] = d * static_cast<float>((q & 15) - 8);
      target[i + 16] = d * static_cast<float>((q >> 4) - 8);
    }
  }
}

// As Q4_0 with an f16 offset m after the scale: x = d * q + m.
void decode_q4_1(const char* blocks, int64_t count, float* target) {
  for (int64_t b = 0; b < count; ++b, blocks += 20, target += 32) {
    const float d = f16_at(blocks), m = f16_at(blocks + 2);
    for (int i = 0; i < 16; ++i) {
      const auto q = static_cast<uint8_t>(blocks[4 + i]);
      target[i] = d * static_cast<float>(q & 15) + m;
      target[i + 16] = d * static_cast<float>(q >> 4) + m;
    }
  }
}

// 32 numbers: f16 scale d, 32 signed bytes. x = d * q.
void decode_q8_0(const char* blocks, int64_t count, float* target) {
  for (int64_t b = 0; b < count; ++b, blocks += 34, target += 32) {
    const float d = f16_at(blocks);
    for (int i = 0; i < 32; ++i)
      target[i] = d * static_cast<float>(static_cast<int8_t>(blocks[2 + i]));
  }
}

// 256 numbers of 6 bits: 128 bytes of low halves, 64 bytes of upper pairs, 16 signed scales of 16
// numbers each, one f16 scale d. x = d * scale * (q - 32). Each half of 128 numbers is four rows of
// 32: rows 0 and 1 take the low four bits of two runs of 32 bytes, rows 2 and 3 the high four; row
// r takes bits 2r, 2r + 1 of the upper bytes.
void decode_q6_k(const char* blocks, int64_t count, float* target) {
  for (int64_t b = 0; b < count; ++b, blocks += 210) {
    const auto* low = reinterpret_cast<const uint8_t*>(blocks);
    const auto* high = low + 128;
    const auto* scales = reinterpret_cast<const int8_t*>(blocks + 192);
    const float d = f16_at(blocks + 208);
    for (int half = 0; half < 2; ++half, low += 64, high += 32, scales += 8) {
      for (int row = 0; row < 4; ++row) {
        for (int i = 0; i < 32; ++i) {
          const int four = (low[(row & 1) * 32 + i] >> (row < 2 ? 0 : 4)) & 15;
          const int q = (four | ((high[i] >> (2 * row)) & 3) << 4) - 32;
          const float scale = d * static_cast<float>(scales[2 * row + i / 16]);
          *target++ = scale * static_cast<float>(q);
        }
      }
    }
  }
}

constexpr std::array<GgmlType, 7> kTypes = {{{0, "F32", 1, 4, decode_f32},
                                             {1, "F16", 1, 2, decode_f16},
                                             {2, "Q4_0", 32, 18, decode_q4_0},
                                             {3, "Q4_1", 32, 20, decode_q4_1},
                                             {8, "Q8_0", 32, 34, decode_q8_0},
                                             {14, "Q6_K", 256, 210, decode_q6_k},
                                             {30, "BF16", 1, 2, decode_bf16}}};

}  // namespace

const GgmlType* find_ggml_type(uint32_t number) {
  for (const GgmlType& type : kTypes)
    if (type.number == number) return &type;
  return nullptr;
}

}  // namespace temper
