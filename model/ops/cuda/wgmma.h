// Products of a warpgroup on Hopper (wgmma): 64 x 16 by 16 x N in bf16 or f16, sums in f32.
// Source: NVIDIA, PTX ISA 8.x, "wgmma.mma_async".
//
// With g = lane / 4 and c = lane % 4, thread `lane` of warp w holds of row 16 w + g + 8 h of the
// result the columns 8 j + 2 c + (0, 1) in d[4 j + 2 h + (0, 1)]. N is twice the size of d.
#pragma once

#include "model/ops/cuda/hopper.h"
#include "model/ops/cuda/mma.h"

#if defined(__CUDACC__) && defined(__CUDA_ARCH_FEAT_SM90_ALL)

namespace temper::cuda {

// clang-format off
#define TEMPER_TEXT_0 "%0, %1, %2, %3, %4, %5, %6, %7, " \
  "%8, %9, %10, %11, %12, %13, %14, %15"
#define TEMPER_TEXT_16 "%16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31"
#define TEMPER_TEXT_32 "%32, %33, %34, %35, %36, %37, %38, %39, " \
  "%40, %41, %42, %43, %44, %45, %46, %47"
#define TEMPER_TEXT_48 "%48, %49, %50, %51, %52, %53, %54, %55, " \
  "%56, %57, %58, %59, %60, %61, %62, %63"
#define TEMPER_TEXT_64 "%64, %65, %66, %67, %68, %69, %70, %71, " \
  "%72, %73, %74, %75, %76, %77, %78, %79"
#define TEMPER_TEXT_80 "%80, %81, %82, %83, %84, %85, %86, %87, " \
  "%88, %89, %90, %91, %92, %93, %94, %95"
#define TEMPER_TEXT_96 "%96, %97, %98, %99, %100, %101, %102, %103, " \
  "%104, %105, %106, %107, %108, %109, %110, %111"
#define TEMPER_TEXT_112 "%112, %113, %114, %115, %116, %117, %118, %119, " \
  "%120, %121, %122, %123, %124, %125, %126, %127"
#define TEMPER_FOUR(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define TEMPER_SIXTEEN(i) \
  TEMPER_FOUR(i), TEMPER_FOUR(i + 4), TEMPER_FOUR(i + 8), TEMPER_FOUR(i + 12)

#define TEMPER_FROM_SHARED(TYPES, N, TEXT, P0, P1, P2, P3, P4)                              \
  "{\n.reg .pred add;\nsetp.ne.b32 add, %" #P2 ", 0;\n"                                     \
  "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPES " {" TEXT "}, %" #P0 ", %" #P1    \
  ", add, 1, 1, %" #P3 ", %" #P4 ";\n}\n"
#define TEMPER_FROM_REGISTERS(TYPES, N, TEXT, P0, P1, P2, P3, P4, P5, P6)                   \
  "{\n.reg .pred add;\nsetp.ne.b32 add, %" #P5 ", 0;\n"                                     \
  "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPES " {" TEXT "}, {%" #P0 ", %" #P1   \
  ", %" #P2 ", %" #P3 "}, %" #P4 ", add, 1, 1, %" #P6 ";\n}\n"

// Defines multiply_64 for results of N columns: d = a b (add = 0) or d += a b, with both operands
// in shared memory, or the left one in registers. The numbers that follow are those of the asm
// operands behind the results.
#define TEMPER_PRODUCT(N, kCount, TEXT, LIST, P0, P1, P2, P3, P4, P5, P6)                     \
  template <class T, bool kAAcross, bool kBAcross>                                            \
  __device__ __forceinline__ void multiply_64(float (&d)[kCount], uint64_t a, uint64_t b,     \
                                              int add) {                                      \
    static_assert(kIsNarrow<T>);                                                              \
    if constexpr (std::is_same_v<T, bf16>) {                                                  \
      asm volatile(TEMPER_FROM_SHARED("bf16.bf16", N, TEXT, P0, P1, P2, P3, P4)               \
                   : LIST                                                                     \
                   : "l"(a), "l"(b), "r"(add), "n"(kAAcross), "n"(kBAcross));                 \
    } else {                                                                                  \
      asm volatile(TEMPER_FROM_SHARED("f16.f16", N, TEXT, P0, P1, P2, P3, P4)                 \
                   : LIST                                                                     \
                   : "l"(a), "l"(b), "r"(add), "n"(kAAcross), "n"(kBAcross));                 \
    }                                                                                         \
  }                                                                                           \
  template <class T, bool kBAcross>                                                           \
  __device__ __forceinline__ void multiply_64(float (&d)[kCount], const FragmentA& a,         \
                                              uint64_t b, int add) {                          \
    static_assert(kIsNarrow<T>);                                                              \
    if constexpr (std::is_same_v<T, bf16>) {                                                  \
      asm volatile(TEMPER_FROM_REGISTERS("bf16.bf16", N, TEXT, P0, P1, P2, P3, P4, P5, P6)    \
                   : LIST                                                                     \
                   : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "l"(b), "r"(add), \
                     "n"(kBAcross));                                                          \
    } else {                                                                                  \
      asm volatile(TEMPER_FROM_REGISTERS("f16.f16", N, TEXT, P0, P1, P2, P3, P4, P5, P6)      \
                   : LIST                                                                     \
                   : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "l"(b), "r"(add), \
                     "n"(kBAcross));                                                          \
    }                                                                                         \
  }

#define TEMPER_RESULTS_32 TEMPER_SIXTEEN(0)
TEMPER_PRODUCT(32, 16, TEMPER_TEXT_0,
               TEMPER_RESULTS_32, 16, 17, 18, 19, 20, 21, 22)
#define TEMPER_RESULTS_64 TEMPER_SIXTEEN(0), TEMPER_SIXTEEN(16)
TEMPER_PRODUCT(64, 32, TEMPER_TEXT_0 ", " TEMPER_TEXT_16,
               TEMPER_RESULTS_64, 32, 33, 34, 35, 36, 37, 38)
#define TEMPER_RESULTS_128 \
  TEMPER_SIXTEEN(0), TEMPER_SIXTEEN(16), TEMPER_SIXTEEN(32), TEMPER_SIXTEEN(48)
TEMPER_PRODUCT(128, 64, TEMPER_TEXT_0 ", " TEMPER_TEXT_16 ", " TEMPER_TEXT_32 ", "
               TEMPER_TEXT_48,
               TEMPER_RESULTS_128, 64, 65, 66, 67, 68, 69, 70)
#define TEMPER_RESULTS_192 TEMPER_RESULTS_128, TEMPER_SIXTEEN(64), TEMPER_SIXTEEN(80)
TEMPER_PRODUCT(192, 96, TEMPER_TEXT_0 ", " TEMPER_TEXT_16 ", " TEMPER_TEXT_32 ", "
               TEMPER_TEXT_48 ", " TEMPER_TEXT_64 ", " TEMPER_TEXT_80,
               TEMPER_RESULTS_192, 96, 97, 98, 99, 100, 101, 102)
#define TEMPER_RESULTS_256 TEMPER_RESULTS_192, TEMPER_SIXTEEN(96), TEMPER_SIXTEEN(112)
TEMPER_PRODUCT(256, 128, TEMPER_TEXT_0 ", " TEMPER_TEXT_16 ", " TEMPER_TEXT_32 ", "
               TEMPER_TEXT_48 ", " TEMPER_TEXT_64 ", " TEMPER_TEXT_80 ", " TEMPER_TEXT_96 ", "
               TEMPER_TEXT_112,
               TEMPER_RESULTS_256, 128, 129, 130, 131, 132, 133, 134)

#undef TEMPER_RESULTS_32
#undef TEMPER_RESULTS_64
#undef TEMPER_RESULTS_128
#undef TEMPER_RESULTS_192
#undef TEMPER_RESULTS_256
#undef TEMPER_FROM_SHARED
#undef TEMPER_FROM_REGISTERS
#undef TEMPER_PRODUCT
#undef TEMPER_SIXTEEN
#undef TEMPER_FOUR
#undef TEMPER_TEXT_0
#undef TEMPER_TEXT_16
#undef TEMPER_TEXT_32
#undef TEMPER_TEXT_48
#undef TEMPER_TEXT_64
#undef TEMPER_TEXT_80
#undef TEMPER_TEXT_96
#undef TEMPER_TEXT_112
// clang-format on

// Four 8 x 8 matrices of 16-bit numbers to shared memory: lane 8 i + r gives the address of row r
// of matrix i, whose numbers 2 c and 2 c + 1 of row g thread 4 g + c holds in p[i].
__device__ inline void store_matrices(void* to, const unsigned (&p)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};\n" ::"r"(
                   shared_address(to)),
               "r"(p[0]), "r"(p[1]), "r"(p[2]), "r"(p[3])
               : "memory");
}

// The columns 128 `half` .. 128 `half` + 127 of a result [64, 256]. ptxas gives a product no more
// registers than the kernel starts with, so where that is 128 a warpgroup has to take 256 columns
// in two steps.
__device__ __forceinline__ float (&half_of(float (&d)[128], int half))[64] {
  return *reinterpret_cast<float(*)[64]>(&d[64 * half]);
}

// Columns 16 k .. 16 k + 15 of a result [64, N], rounded to T, as a left operand.
template <class T, int kCount>
__device__ __forceinline__ FragmentA left_of(const float (&d)[kCount], int k) {
  FragmentA a;
#pragma unroll
  for (int i = 0; i < 4; ++i) a.at[i] = pack_pair<T>(d[8 * k + 2 * i], d[8 * k + 2 * i + 1]);
  return a;
}

// A matrix in shared memory as boxes of 64 columns: kRows lines of 128 bytes, swizzled, and then
// the next box. Byte offsets in units of 16, to be added to an operand.
template <int kRows>
struct Boxes {
  static constexpr int kBytes = kRows * kLine * 2;

  // The columns are the inner dimension; from inner 0 to inner 16 k.
  __device__ static uint64_t lines(const void* at) { return operand<false>(at); }
  __device__ static constexpr uint64_t inner(int k) {
    return static_cast<uint64_t>(k / 4 * (kBytes / 16) + k % 4 * 2);
  }
  // The rows are the inner dimension.
  __device__ static uint64_t across(const void* at) { return operand<true>(at, kBytes); }
  __device__ static constexpr uint64_t inner_across(int k) {
    return static_cast<uint64_t>(k * (16 * kLine * 2 / 16));
  }
};

}  // namespace temper::cuda

#endif
