#include "model/ops/cuda/gemm_choice.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "model/ops/cuda/kernel.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 256, kRepeats = 5;

// Numbers in (-1, 1) that look random.
template <class T>
__global__ void fill_kernel(T* to, int64_t n, unsigned seed) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= n) return;
  unsigned x = (static_cast<unsigned>(i) + seed) * 0x9E3779B9U;
  x = (x ^ x >> 16) * 0x85EBCA6BU;
  x = (x ^ x >> 13) * 0xC2B2AE35U;
  to[i] = from_float<T>(static_cast<float>(static_cast<int>(x ^ x >> 16)) * 0x1p-31F);
}

__global__ void differing_kernel(const uint16_t* a, const uint16_t* b, int64_t n, int* differing) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < n && a[i] != b[i]) *differing = 1;
}

// Elements from the first of an operand to behind its last.
int64_t span_of(const Operand& o, int64_t batch) {
  return (batch - 1) * o.batch_stride + (o.rows - 1) * std::max(o.stride, o.cols) + o.cols;
}

class Trial {
 public:
  Trial(Runtime& runtime, const PlannedGemm& gemm) : runtime_(runtime), gemm_(gemm) {
    const Operand* operands[] = {&gemm.a, &gemm.b, &gemm.from, &gemm.c, &gemm.c};
    size_t bytes = 256;
    for (const Operand* o : operands) bytes += bytes_of(*o);
    if (cudaMalloc(&memory_, bytes) != cudaSuccess) {
      cudaGetLastError();
      memory_ = nullptr;
      return;
    }
    auto* at = static_cast<char*>(memory_) + 256;
    for (int i = 0; i < 5; ++i) {
      parts_[i] = at;
      at += bytes_of(*operands[i]);
      fill(parts_[i], *operands[i], static_cast<unsigned>(std::min(i, 3)) * 1234567U);
    }
    check(cudaEventCreate(&begin_));
    check(cudaEventCreate(&end_));
  }
  ~Trial() {
    if (begin_ != nullptr) cudaEventDestroy(begin_);
    if (end_ != nullptr) cudaEventDestroy(end_);
    cudaFree(memory_);
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  explicit operator bool() const { return memory_ != nullptr; }

  // Whether it ran.
  bool run(const cublasLtMatmulAlgo_t& algorithm, bool first) {
    const float one = 1.0F;
    const GemmPlan& p = gemm_.plan;
    return cublasLtMatmul(runtime_.blas, p.operation, &one, parts_[1], p.a, parts_[0], p.b,
                          &gemm_.beta, parts_[2], p.c, parts_[first ? 3 : 4], p.d, &algorithm,
                          runtime_.workspace, runtime_.workspace_bytes,
                          runtime_.stream) == CUBLAS_STATUS_SUCCESS;
  }
  bool same_bits() {
    auto* differing = static_cast<int*>(memory_);
    check(cudaMemsetAsync(differing, 0, sizeof(int), runtime_.stream));
    const int64_t n = static_cast<int64_t>(bytes_of(gemm_.c) / sizeof(uint16_t));
    differing_kernel<<<blocks_for(n, kThreads), kThreads, 0, runtime_.stream>>>(
        reinterpret_cast<uint16_t*>(parts_[3]), reinterpret_cast<uint16_t*>(parts_[4]), n,
        differing);
    check_launch();
    int found = 0;
    check(
        cudaMemcpyAsync(&found, differing, sizeof found, cudaMemcpyDeviceToHost, runtime_.stream));
    check(cudaStreamSynchronize(runtime_.stream));
    return found == 0;
  }
  float microseconds(const cublasLtMatmulAlgo_t& algorithm) {
    std::vector<float> times;
    for (int i = -1; i < kRepeats; ++i) {
      check(cudaEventRecord(begin_, runtime_.stream));
      run(algorithm, false);
      check(cudaEventRecord(end_, runtime_.stream));
      check(cudaEventSynchronize(end_));
      float ms = 0.0F;
      check(cudaEventElapsedTime(&ms, begin_, end_));
      if (i >= 0) times.push_back(ms * 1e3F);
    }
    std::nth_element(times.begin(), times.begin() + kRepeats / 2, times.end());
    return times[kRepeats / 2];
  }

 private:
  size_t bytes_of(const Operand& o) const {
    const auto bytes = static_cast<size_t>(span_of(o, gemm_.batch)) * size_of(o.dtype);
    return (bytes + 255) / 256 * 256;
  }
  void fill(char* to, const Operand& o, unsigned seed) {
    dispatch(o.dtype, [&]<class T>() {
      const int64_t n = static_cast<int64_t>(bytes_of(o) / sizeof(T));
      fill_kernel<<<blocks_for(n, kThreads), kThreads, 0, runtime_.stream>>>(
          reinterpret_cast<T*>(to), n, seed);
      check_launch();
    });
  }

  Runtime& runtime_;
  const PlannedGemm& gemm_;
  void* memory_ = nullptr;
  char* parts_[5] = {};  // a, b, from, the first suggestion's c, another's
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

}  // namespace

GemmChoice choose_gemm(Runtime& runtime, const PlannedGemm& gemm,
                       std::span<const cublasLtMatmulHeuristicResult_t> suggestions) {
  GemmChoice best{gemm.plan.algorithm, 1.0F};
  Trial trial(runtime, gemm);
  if (!trial || !trial.run(best.algorithm, true)) return best;
  best.microseconds = trial.microseconds(best.algorithm);
  for (const cublasLtMatmulHeuristicResult_t& other : suggestions) {
    if (!trial.run(other.algo, false) || !trial.same_bits()) continue;
    const float time = trial.microseconds(other.algo);
    if (time < 0.98F * best.microseconds) best = {other.algo, time};
  }
  return best;
}

}  // namespace temper::cuda
