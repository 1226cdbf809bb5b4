#include "core/cuda/runtime.h"

#include "core/cuda/fault.h"
#include "core/cuda/memory.h"
#include "core/device_lost.h"
#include "core/gpu_architectures.h"

namespace temper::cuda {
namespace {

std::string place(const std::source_location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

}  // namespace

void check(cudaError_t status, std::source_location where) {
  if (status == cudaSuccess) return;
  const std::string what = "CUDA: " + std::string(cudaGetErrorString(status)) + " (" +
                           cudaGetErrorName(status) + ", " + place(where) + ")";
  cudaGetLastError();  // a failed launch leaves its error behind: it has been told now
  const std::string_view loss = loss_of_device(status);
  if (!loss.empty()) throw DeviceLost(what + "; " + std::string(loss));
  throw SystemError(what);
}

void check(cublasStatus_t status, std::source_location where) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  // cuBLASLt says that it could not launch; why, CUDA says.
  const cudaError_t met = cudaDeviceSynchronize();
  cudaGetLastError();
  if (!loss_of_device(met).empty()) check(met, where);
  throw SystemError("cuBLASLt: " + std::string(cublasLtGetStatusString(status)) + " (" +
                    place(where) + ")");
}

Runtime::Runtime() {
  check(cudaSetDevice(0));
  check(cudaGetDeviceProperties(&properties, 0));
  // Code for 8.0 that the driver made for it is the plain kernels' alone.
  if (properties.major == 9 && !has_hopper_code(TEMPER_CUDA_ARCHITECTURES)) properties.major = 8;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  check(cublasLtCreate(&blas));
  workspace_bytes = size_t{32} << 20;  // what NVIDIA recommends for Hopper
  check(cudaMalloc(&workspace, workspace_bytes));
  check(cudaMalloc(&counters, kCounters * sizeof(unsigned)));
  check(cudaMemset(counters, 0, kCounters * sizeof(unsigned)));
  check(cudaDeviceSynchronize());
}

Runtime::~Runtime() {
  for (auto& [key, plan] : plans) {
    cublasLtMatrixLayoutDestroy(plan.a);
    cublasLtMatrixLayoutDestroy(plan.b);
    cublasLtMatrixLayoutDestroy(plan.c);
    cublasLtMatrixLayoutDestroy(plan.d);
    cublasLtMatmulDescDestroy(plan.operation);
  }
  cudaFree(counters);
  cudaFree(workspace);
  cublasLtDestroy(blas);
  cudaStreamDestroy(stream);
}

}  // namespace temper::cuda
