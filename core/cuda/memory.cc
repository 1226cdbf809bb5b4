#include "core/cuda/memory.h"

#include <string>

#include "core/cuda/runtime.h"
#include "core/error.h"
#include "core/gpu_architectures.h"
#include "core/out_of_memory.h"

namespace temper::cuda {

int device_count() {
  int count = 0;
  return device_problem().empty() && cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

GpuInfo info() {
  GpuInfo out;
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 0));
  size_t free_now = 0, total = 0;
  check(cudaMemGetInfo(&free_now, &total));
  check(cudaDriverGetVersion(&out.driver_version));
  check(cudaRuntimeGetVersion(&out.runtime_version));
  out.name = properties.name;
  out.memory_bytes = static_cast<int64_t>(total);
  out.memory_free = static_cast<int64_t>(free_now);
  out.capability_major = properties.major;
  out.capability_minor = properties.minor;
  out.multiprocessors = properties.multiProcessorCount;
  out.tuned = properties.major == 9 && has_hopper_code(TEMPER_CUDA_ARCHITECTURES);
  return out;
}

std::string driver_problem(int driver, int runtime) {
  const auto version = [](int number) {
    return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
  };
  if (driver == 0) return "there is no NVIDIA driver here (libcuda.so.1)";
  return "the driver is for CUDA " + version(driver) + ", and this build is of CUDA " +
         version(runtime) + ": update the driver, or build with a toolkit of its version";
}

std::string device_problem() {
  int count = 0, major = 0, minor = 0;
  cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count == 0) return "no GPU is visible";
  if (status == cudaSuccess)
    status = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
  if (status == cudaSuccess)
    status = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0);
  cudaGetLastError();
  if (status == cudaErrorInsufficientDriver) {
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    return driver_problem(driver, runtime);
  }
  if (status != cudaSuccess) return cudaGetErrorString(status);
  if (runs_on(TEMPER_CUDA_ARCHITECTURES, major, minor)) return "";
  const std::string card = std::to_string(major) + "." + std::to_string(minor);
  const std::string name = major == 9 ? "90a" : std::to_string(10 * major + minor);
  return "the card is of compute capability " + card + ", and this build has kernels for " +
         TEMPER_CUDA_ARCHITECTURES +
         (major < 8 ? "; 8.0 is the least"
                    : "; configure with -DCMAKE_CUDA_ARCHITECTURES=" + name + "-real");
}

size_t free_bytes() {
  size_t free_now = 0, total = 0;
  check(cudaMemGetInfo(&free_now, &total));
  return free_now;
}

void* allocate(size_t bytes) {
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free_bytes = 0, total = 0;
    cudaMemGetInfo(&free_bytes, &total);
    throw OutOfMemory("the GPU is out of memory: " + std::to_string(bytes >> 20) +
                      " MiB asked for, " + std::to_string(free_bytes >> 20) + " of " +
                      std::to_string(total >> 20) + " MiB free");
  }
  check(status);
  return data;
}

void free(void* data) noexcept {
  cudaFree(data);
}

void clear(void* data, size_t bytes) {
  check(cudaMemset(data, 0, bytes));
  check(cudaDeviceSynchronize());
}

void copy(Runtime& runtime, void* to, const void* from, size_t bytes, bool host_to_device,
          bool device_to_host) {
  const cudaMemcpyKind kind = host_to_device   ? cudaMemcpyHostToDevice
                              : device_to_host ? cudaMemcpyDeviceToHost
                                               : cudaMemcpyDeviceToDevice;
  check(cudaMemcpyAsync(to, from, bytes, kind, runtime.stream));
  // To the device: the call returns when pageable memory has been staged (CUDA Runtime API, "API
  // synchronization behavior"), so the host may reuse it while the device is still busy.
  if (device_to_host) check(cudaStreamSynchronize(runtime.stream));
}

void synchronize(Runtime& runtime) {
  check(cudaStreamSynchronize(runtime.stream));
  check(cudaGetLastError());
}

}  // namespace temper::cuda
