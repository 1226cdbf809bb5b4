// Tensor-core products of one warp (mma.sync, sm_80 and later): operands from shared memory,
// results in registers.
//
// A warp multiplies 16 x 16 by 16 x 8. With g = lane / 4 and c = lane % 4 a thread holds of the
// result [16, 8] the elements (g, 2c), (g, 2c+1), (g+8, 2c), (g+8, 2c+1).
#pragma once

#include "model/ops/cuda/narrow.h"

#ifdef __CUDACC__

namespace temper::cuda {

struct FragmentA {
  unsigned at[4];
};
// Two operands of 8 columns each.
struct FragmentB {
  unsigned at[4];
};
using FragmentC = float[4];

// c += a b, for the two times 8 columns of b.
#define TEMPER_MULTIPLY(types)                                                \
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." types                 \
               ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n" \
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])               \
               : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b0), "r"(b1))
template <class T>
__device__ inline void multiply_half(FragmentC& c, const FragmentA& a, unsigned b0, unsigned b1) {
  static_assert(kIsNarrow<T>);
  if constexpr (std::is_same_v<T, bf16>) {
    TEMPER_MULTIPLY("bf16.bf16");
  } else {
    TEMPER_MULTIPLY("f16.f16");
  }
}
#undef TEMPER_MULTIPLY
template <class T>
__device__ inline void multiply(FragmentC& left, FragmentC& right, const FragmentA& a,
                                const FragmentB& b) {
  multiply_half<T>(left, a, b.at[0], b.at[1]);
  multiply_half<T>(right, a, b.at[2], b.at[3]);
}

__device__ inline void load_matrices(unsigned (&to)[4], const void* from) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(from));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address));
}
__device__ inline void load_matrices_transposed(unsigned (&to)[4], const void* from) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(from));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address));
}

// A tile of rows in shared memory. Eight numbers of padding put the rows that are read together
// into different banks.
template <class T, int kRows, int kCols>
struct SharedTile {
  static constexpr int kPitch = kCols + 8, kSize = kRows * kPitch;
  static_assert(kCols % 64 == 0, "the padding is made for multiples of 64");
  T* data;

  // Rows row .. row + 15, columns col .. col + 15 as the left operand.
  __device__ FragmentA left(int row, int col) const {
    const int lane = threadIdx.x % 32;
    FragmentA a;
    load_matrices(a.at, data + (row + lane % 16) * kPitch + col + lane / 16 * 8);
    return a;
  }
  // The left operand that multiplies from the transpose: a[m][k] = tile[row + k][col + m].
  __device__ FragmentA left_transposed(int row, int col) const {
    const int lane = threadIdx.x % 32;
    FragmentA a;
    load_matrices_transposed(
        a.at, data + (row + lane / 16 * 8 + lane % 8) * kPitch + col + lane / 8 % 2 * 8);
    return a;
  }
  // The right operand that multiplies by the transpose: b[k][n] = tile[row + n][col + k].
  __device__ FragmentB right_transposed(int row, int col) const {
    const int lane = threadIdx.x % 32;
    FragmentB b;
    load_matrices(b.at, data + (row + lane / 16 * 8 + lane % 8) * kPitch + col + lane / 8 % 2 * 8);
    return b;
  }
  // The right operand: b[k][n] = tile[row + k][col + n].
  __device__ FragmentB right(int row, int col) const {
    const int lane = threadIdx.x % 32;
    FragmentB b;
    load_matrices_transposed(b.at, data + (row + lane % 16) * kPitch + col + lane / 16 * 8);
    return b;
  }
};

// Two neighbouring results [16, 8] as a left operand [16, 16].
template <class T>
__device__ inline FragmentA as_left(const FragmentC& left, const FragmentC& right) {
  return {{pack_pair<T>(left[0], left[1]), pack_pair<T>(left[2], left[3]),
           pack_pair<T>(right[0], right[1]), pack_pair<T>(right[2], right[3])}};
}

// 16 bytes to shared memory, arriving later; zeros if not `valid`.
template <class T>
__device__ inline void copy_later(T* to, const T* from, bool valid) {
  static_assert(sizeof(T) == 2);
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
}
__device__ inline void copy_later(float* to, const float* from, bool valid) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(address), "l"(from),
               "r"(valid ? 4 : 0)
               : "memory");
}
__device__ inline void end_copy_group() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}
// Waits until all but the latest kPending groups of this thread have arrived.
template <int kPending>
__device__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

// 2^x, to about two units in the last place.
__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace temper::cuda

#endif
