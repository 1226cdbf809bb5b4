// Ways in which warps hand shared memory to each other, alone, to see which of them
// compute-sanitizer's racecheck knows (docs/testing.md has what it said):
//   compute-sanitizer --tool racecheck build/racecheck_patterns NAME
// Each is right by the PTX memory model but `lane-arrives` and `no-barrier`, which must be
// reported. Exit code 0: the numbers came out right.
#include <cstdio>
#include <cstring>

#include "model/ops/cuda/bulk_copy.h"
#include "model/ops/cuda/grouped_pick.h"
#include "model/ops/cuda/mma.h"
#include "model/ops/cuda/warp_arrival.h"
#include "model/ops/cuda/wgmma.h"

namespace temper::cuda {
namespace {

constexpr int kTurns = 8, kMost = 64 * 64;  // numbers of the largest buffer

enum class Way {
  no_barrier,     // nobody waits until the numbers were read
  lane_arrives,   // one lane arrives for all, which may still be reading
  warp_arrives,   // one lane arrives after __syncwarp
  lanes_arrive,   // every lane arrives, and every lane waits before it writes
  lanes_meet,     // the same, and those that have waited meet before they write
  one_writes,     // every lane arrives, and one lane waits and writes for all
  third_arrives,  // a thread of another warp waits for the readers and tells the writer
};
struct Named {
  const char* name;
  void (*kernel)(const int*, int*);
  int threads, rows;  // rows: what the sums are over
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

// The numbers that the reading warp gets in a turn.
__device__ void take(const int* numbers, int& sum) {
  sum += numbers[31 - threadIdx.x % 32];
}

#endif

// Warp 0 writes, warp 1 reads.
template <Way kWay>
__global__ void ordinary(const int* from, int* to) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  __shared__ int numbers[32];
  __shared__ uint64_t full, empty, read;
  constexpr bool kEach =
      kWay == Way::lanes_arrive || kWay == Way::lanes_meet || kWay == Way::one_writes;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (threadIdx.x == 0) {
    init_barrier(&full, 1), init_barrier(&read, 1);
    init_barrier(&empty, kEach ? 32 : 1);
  }
  __syncthreads();
  int sum = 0;
  for (int n = 0; n < kTurns; ++n) {
    if (warp == 0) {
      const int first = kWay == Way::one_writes ? 0 : lane;
      const int end = kWay != Way::one_writes ? lane + 1 : lane == 0 ? 32 : 0;
      if (kWay != Way::no_barrier && end > 0) wait(&empty, n & 1 ^ 1);
      if (kWay == Way::lanes_meet) __syncwarp();
      for (int i = first; i < end; ++i) numbers[i] = from[n * 32 + i];
      arrive_as_warp(&full);
    } else if (warp == 1) {
      wait(&full, n & 1);
      take(numbers, sum);
      if (kWay == Way::lane_arrives && lane == 0) arrive(&empty);
      if (kWay == Way::warp_arrives) arrive_as_warp(&empty);
      if (kEach) arrive(&empty);
      if (kWay == Way::third_arrives) arrive_as_warp(&read);
    } else if (kWay == Way::third_arrives && lane == 0) {
      wait(&read, n & 1);
      arrive(&empty);
    }
  }
  if (warp == 1) to[lane] = sum;
#endif
}

// The copy engine writes, warp 1 reads.
__global__ void copied_in(const int* from, int* to) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  __shared__ alignas(128) int numbers[32];
  __shared__ uint64_t full, empty;
  const int lane = threadIdx.x % 32;
  if (threadIdx.x == 0) init_barrier(&full, 1), init_barrier(&empty, 1), publish_barriers();
  __syncthreads();
  int sum = 0;
  for (int n = 0; n < kTurns; ++n) {
    if (threadIdx.x == 0) {
      wait(&empty, n & 1 ^ 1);
      arrive_expecting(&full, sizeof numbers);
      load_bytes(numbers, from + n * 32, sizeof numbers, &full);
    } else if (threadIdx.x >= 32) {
      wait(&full, n & 1);
      take(numbers, sum);
      arrive_as_warp(&empty);
    }
  }
  if (threadIdx.x >= 32) to[lane] = sum;
#endif
}

// Warp 1 writes, the copy engine reads.
__global__ void copied_out(const int* from, int* to) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  __shared__ alignas(128) int numbers[32];
  __shared__ uint64_t full, empty;
  const int lane = threadIdx.x % 32;
  if (threadIdx.x == 0) init_barrier(&full, 1), init_barrier(&empty, 1), publish_barriers();
  __syncthreads();
  int sum = 0;
  for (int n = 0; n < kTurns; ++n) {
    if (threadIdx.x == 0) {
      wait(&full, n & 1);
      store_bytes(to + (kTurns - 1 - n) * 32, numbers, sizeof numbers);
      wait_boxes_read();
      arrive(&empty);
    } else if (threadIdx.x >= 32) {
      wait(&empty, n & 1 ^ 1);
      numbers[lane] = sum += from[n * 32 + 31 - lane];
      fence_shared_writes();
      arrive_as_warp(&full);
    }
  }
#endif
}

// Warp 0 copies by cp.async, whose end arrives at the barrier; warp 1 reads.
__global__ void copied_by_threads(const int* from, int* to) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  __shared__ alignas(128) int numbers[128];
  __shared__ uint64_t full, empty;
  const int lane = threadIdx.x % 32;
  if (threadIdx.x == 0) init_barrier(&full, 32), init_barrier(&empty, 1);
  __syncthreads();
  int sum = 0;
  for (int n = 0; n < kTurns / 4; ++n) {
    if (threadIdx.x < 32) {
      wait(&empty, n & 1 ^ 1);
      copy_later(reinterpret_cast<bf16*>(numbers + 4 * lane),
                 reinterpret_cast<const bf16*>(from + n * 128 + 4 * lane), true);
      grouped::arrive_after_copies(&full);
    } else {
      wait(&full, n & 1);
      for (int part = 0; part < 4; ++part) take(numbers + 32 * part, sum);
      arrive_as_warp(&empty);
    }
  }
  if (threadIdx.x >= 32) to[lane] = sum;
#endif
}

// Warp 4 writes a right operand of ones or zeros, the first warpgroup multiplies by it.
__global__ void multiplied(const int* from, int* to) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  __shared__ alignas(1024) bf16 right[kMost], left[kMost];
  __shared__ uint64_t full, empty;
  if (threadIdx.x == 0) init_barrier(&full, 1), init_barrier(&empty, 4);
  for (int i = threadIdx.x; i < kMost; i += blockDim.x) left[i] = __float2bfloat16_rn(1.0F);
  fence_shared_writes();
  __syncthreads();
  float d[32] = {};
  for (int n = 0; n < kTurns; ++n) {
    if (threadIdx.x >= 128) {
      wait(&empty, n & 1 ^ 1);
      for (int i = threadIdx.x % 32; i < kMost; i += 32)
        right[i] = __float2bfloat16_rn(static_cast<float>(from[n * 32] % 2));
      fence_shared_writes();
      arrive_as_warp(&full);
    } else {
      wait(&full, n & 1);
      begin_products();
      for (int i = 0; i < 4; ++i)
        multiply_64<bf16, false, false>(d, operand<false>(left) + i * kNext16<false>,
                                        operand<false>(right) + i * kNext16<false>, 1);
      end_products();
      wait_products<0>();
      arrive_as_warp(&empty);
    }
  }
  if (threadIdx.x < 32) to[threadIdx.x] = static_cast<int>(d[threadIdx.x % 4]);
#endif
}

// Two of three warps meet at a barrier of their own, twice a turn.
__global__ void partial_barrier(const int* from, int* to) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  __shared__ int numbers[32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (warp == 2) return;
  int sum = 0;
  for (int n = 0; n < kTurns; ++n) {
    if (warp == 0) numbers[lane] = from[n * 32 + lane];
    asm volatile("bar.sync 1, 64;\n" ::: "memory");
    if (warp == 1) take(numbers, sum);
    asm volatile("bar.sync 1, 64;\n" ::: "memory");
  }
  if (warp == 1) to[lane] = sum;
#endif
}

constexpr Named kPatterns[] = {
    {"no-barrier", ordinary<Way::no_barrier>, 64, 0},
    {"lane-arrives", ordinary<Way::lane_arrives>, 64, 1},
    {"warp-arrives", ordinary<Way::warp_arrives>, 64, 1},
    {"lanes-arrive", ordinary<Way::lanes_arrive>, 64, 1},
    {"lanes-meet", ordinary<Way::lanes_meet>, 64, 1},
    {"one-writes", ordinary<Way::one_writes>, 64, 1},
    {"third-arrives", ordinary<Way::third_arrives>, 96, 1},
    {"copied-in", copied_in, 64, 1},
    {"copied-out", copied_out, 64, 1},
    {"copied-by-threads", copied_by_threads, 64, 1},
    {"multiplied", multiplied, 160, 2},
    {"partial-barrier", partial_barrier, 96, 1},
};

int run(const Named& pattern) {
  int host[kTurns * 32], expected[32] = {}, got[32] = {};
  for (int i = 0; i < kTurns * 32; ++i) host[i] = (i * 37 + i / 32) % 101;
  for (int i = 0; i < kTurns * 32; ++i)
    expected[i % 32] += pattern.rows == 2 ? 64 * (host[i / 32 * 32] % 2) : host[i ^ 31];
  int *from = nullptr, *to = nullptr;
  cudaMalloc(&from, sizeof host);
  cudaMalloc(&to, sizeof host);
  cudaMemcpy(from, host, sizeof host, cudaMemcpyHostToDevice);
  pattern.kernel<<<1, pattern.threads>>>(from, to);
  const cudaError_t status = cudaDeviceSynchronize();
  cudaMemcpy(got, to, sizeof got, cudaMemcpyDeviceToHost);
  const bool right =
      status == cudaSuccess && (pattern.rows == 0 || std::memcmp(got, expected, sizeof got) == 0);
  std::printf("%s: %s (%s)\n", pattern.name, right ? "right" : "WRONG", cudaGetErrorString(status));
  return right ? 0 : 1;
}

}  // namespace
}  // namespace temper::cuda

int main(int argc, char** argv) {
  int failed = 0, known = 0;
  for (const auto& pattern : temper::cuda::kPatterns) {
    if (argc > 1 && std::strcmp(argv[1], pattern.name) != 0) continue;
    ++known, failed += temper::cuda::run(pattern);
  }
  if (known == 0) std::fprintf(stderr, "no such pattern\n");
  return known == 0 ? 2 : failed > 0;
}
