// The GPU state of a Context: its stream and cuBLASLt. Only core/cuda and model/ops/cuda include
// this.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <map>
#include <source_location>
#include <string>
#include <vector>

#include "core/context.h"

namespace temper::cuda {

// Throws SystemError naming the call's place if CUDA or cuBLASLt refused; DeviceLost if nothing
// more can be done on the GPU.
void check(cudaError_t status, std::source_location where = std::source_location::current());
void check(cublasStatus_t status, std::source_location where = std::source_location::current());

// A matrix product that has been planned: what cuBLASLt needs to run it again.
struct GemmPlan {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr, d = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  float microseconds = 0.0F;  // when it was timed
};

class Runtime {
 public:
  Runtime();
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  cudaStream_t stream = nullptr;
  cublasLtHandle_t blas = nullptr;
  cudaDeviceProp properties{};
  void* workspace = nullptr;  // of cuBLASLt
  size_t workspace_bytes = 0;
  // Numbers for kernels to count in: 0 at first, and left so (model/ops/cuda/counters.h).
  static constexpr size_t kCounters = 8;
  unsigned* counters = nullptr;
  // Plans by everything that tells two products apart (model/ops/cuda/gemm.cu makes the keys).
  std::map<std::vector<int64_t>, GemmPlan> plans;
};

// The GPU state of a context. Throws ContractError for a context of the CPU.
inline Runtime& runtime_of(Context& ctx) {
  require(ctx.cuda != nullptr, "an op got tensors of the GPU and a context of the CPU");
  return *ctx.cuda;
}
// The stream that all work of a context is queued on.
inline cudaStream_t stream_of(Context& ctx) {
  return runtime_of(ctx).stream;
}

}  // namespace temper::cuda
