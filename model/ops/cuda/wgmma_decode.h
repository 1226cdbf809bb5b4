// What decode attention takes of Hopper's instructions beside hopper.h.
#pragma once

#include "model/ops/cuda/hopper.h"

#if defined(__CUDACC__) && defined(__CUDA_ARCH_FEAT_SM90_ALL)

namespace temper::cuda {

// Begins to fetch a map that the copy engine will follow.
__device__ inline void prefetch_map(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];\n" ::"l"(&map) : "memory");
}

// d = a b (add = 0) or d += a b, 64 x 16 by 16 x 64; lines of both run along the inner dimension.
// Who holds what of d is as in multiply_64_256.
__device__ inline void multiply_64_64(float (&d)[32], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred add;\n"
      "setp.ne.b32 add, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15,"
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "%32, %33, add, 1, 1, 0, 0;\n}\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
        "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
        "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
        "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
        "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "l"(a), "l"(b), "r"(add));
}

// Columns kAt * 2 .. kAt * 2 + 127 of what multiply_64_256 computes with a right operand across, in
// the registers from d[kAt] on. ptxas gives a product no more registers than the kernel starts
// with, so where that is 128 a warpgroup has to take the 256 columns in two steps.
template <int kAt>
__device__ void multiply_64_128_across(float (&d)[128], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred add;\n"
      "setp.ne.b32 add, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, "
      "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, "
      "%34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, "
      "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, add, 1, 1, 0, 1;\n}\n"
      : "+f"(d[kAt + 0]), "+f"(d[kAt + 1]), "+f"(d[kAt + 2]), "+f"(d[kAt + 3]), "+f"(d[kAt + 4]),
        "+f"(d[kAt + 5]), "+f"(d[kAt + 6]), "+f"(d[kAt + 7]), "+f"(d[kAt + 8]), "+f"(d[kAt + 9]),
        "+f"(d[kAt + 10]), "+f"(d[kAt + 11]), "+f"(d[kAt + 12]), "+f"(d[kAt + 13]),
        "+f"(d[kAt + 14]), "+f"(d[kAt + 15]), "+f"(d[kAt + 16]), "+f"(d[kAt + 17]),
        "+f"(d[kAt + 18]), "+f"(d[kAt + 19]), "+f"(d[kAt + 20]), "+f"(d[kAt + 21]),
        "+f"(d[kAt + 22]), "+f"(d[kAt + 23]), "+f"(d[kAt + 24]), "+f"(d[kAt + 25]),
        "+f"(d[kAt + 26]), "+f"(d[kAt + 27]), "+f"(d[kAt + 28]), "+f"(d[kAt + 29]),
        "+f"(d[kAt + 30]), "+f"(d[kAt + 31]), "+f"(d[kAt + 32]), "+f"(d[kAt + 33]),
        "+f"(d[kAt + 34]), "+f"(d[kAt + 35]), "+f"(d[kAt + 36]), "+f"(d[kAt + 37]),
        "+f"(d[kAt + 38]), "+f"(d[kAt + 39]), "+f"(d[kAt + 40]), "+f"(d[kAt + 41]),
        "+f"(d[kAt + 42]), "+f"(d[kAt + 43]), "+f"(d[kAt + 44]), "+f"(d[kAt + 45]),
        "+f"(d[kAt + 46]), "+f"(d[kAt + 47]), "+f"(d[kAt + 48]), "+f"(d[kAt + 49]),
        "+f"(d[kAt + 50]), "+f"(d[kAt + 51]), "+f"(d[kAt + 52]), "+f"(d[kAt + 53]),
        "+f"(d[kAt + 54]), "+f"(d[kAt + 55]), "+f"(d[kAt + 56]), "+f"(d[kAt + 57]),
        "+f"(d[kAt + 58]), "+f"(d[kAt + 59]), "+f"(d[kAt + 60]), "+f"(d[kAt + 61]),
        "+f"(d[kAt + 62]), "+f"(d[kAt + 63])
      : "l"(a), "l"(b), "r"(add));
}

// Four 8 x 8 matrices of bf16 to shared memory: lane 8 i + r gives the address of row r of matrix
// i, whose numbers 2 c and 2 c + 1 of row g thread 4 g + c holds in p[i].
__device__ inline void store_matrices(void* to, const unsigned (&p)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};\n" ::"r"(
                   shared_address(to)),
               "r"(p[0]), "r"(p[1]), "r"(p[2]), "r"(p[3])
               : "memory");
}

}  // namespace temper::cuda

#endif
