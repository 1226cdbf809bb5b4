// Changing the type of stored numbers, V3's block-scaled FP8 included.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace temper {

// Whether convert_elements reads this type.
bool is_float(DType dtype);

// target[i] = source[i] for i < n, rounded to nearest even where the target is narrower.
// Types: source f64, f32, f16, bf16 or f8_e4m3 (plain, without scales); target f64, f32 or bf16.
// Aliasing: none. `source` need not be aligned.
void convert_elements(const void* source, DType from, void* target, DType to, int64_t n);

// A matrix of FP8 with one scale a block. The last block of a row or column may be ragged.
struct Fp8Blocks {
  int64_t rows = 0, cols = 0;
  int64_t block_rows = 128, block_cols = 128;

  int64_t scale_rows() const { return (rows + block_rows - 1) / block_rows; }
  int64_t scale_cols() const { return (cols + block_cols - 1) / block_cols; }
};

// Some rows of a matrix.
struct RowRange {
  int64_t begin = 0, count = 0;
};

// w[i][j] = q[i][j] * scale_inv[i / block_rows][j / block_cols] for the rows asked for.
// Source: v3-engine 1.2 (multiplied, although the tensor is called weight_scale_inv).
// Shapes: q [rows, cols]; scale_inv [scale_rows, scale_cols]; target [range.count, cols].
// Types: target f32, f64 or bf16.
void dequantize_fp8(const Fp8Blocks& shape, RowRange range, const uint8_t* q,
                    const float* scale_inv, void* target, DType to);

// The reverse: scale_inv = amax of the block / 448 (1 for a block of zeros), q = w / scale_inv.
void quantize_fp8(const Fp8Blocks& shape, const float* w, uint8_t* q, float* scale_inv);

}  // namespace temper
