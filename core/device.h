// Memory of either device behind one interface, so that nothing outside core/cuda and
// model/ops/cuda knows CUDA.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"

namespace temper {

#ifdef TEMPER_WITH_CUDA
inline constexpr bool kWithCuda = true;
#else
inline constexpr bool kWithCuda = false;
#endif

// How many GPUs this process can use; 0 in a build without CUDA and on a machine without a driver.
int gpu_count();

// What the first GPU is; `problem` says why it cannot be used, or is empty.
struct GpuInfo {
  std::string problem;
  std::string name;
  int64_t memory_bytes = 0, memory_free = 0;
  int capability_major = 0, capability_minor = 0, multiprocessors = 0;
  bool tuned = false;  // whether this build has kernels that are tuned for it
  int driver_version = 0, runtime_version = 0;  // CUDA's, 13000 for 13.0
};
GpuInfo gpu_info();

// "cpu", "cuda", or "auto": the GPU where there is one. Throws UserError for another name, and for
// "cuda" where none can be used (it says why).
Device device_of(std::string_view name);
std::string_view name_of(Device device);

// The dtype of statistics kept beside activations of `dtype` (norms' rstd, softmax sums, router
// scores, log-probabilities) and of weights' gradients: f32 for the narrow types, else the same.
constexpr DType stat_dtype(DType dtype) {
  return dtype == DType::bf16 || dtype == DType::f16 ? DType::f32 : dtype;
}

// Throws UserError if the device does not compute in `dtype`: f32 or f64 on the CPU, f32, bf16
// or f16 on the GPU.
void check_arithmetic(Device device, DType dtype);

// Memory that can still be taken, in bytes: what the machine and the limits on this process leave,
// or what the card says.
int64_t available_memory(Device device);

// Copies `bytes` between any two devices. To or from the host it returns when the host may reuse
// or read the bytes; between device memory it is queued on the context's stream.
void copy_bytes(Context& ctx, void* to, Device to_device, const void* from, Device from_device,
                size_t bytes);

// A tensor of the context's device with the values of the host tensor `host`, in `arena`. On the
// CPU this is a copy too: the host tensor may go.
Tensor upload(Context& ctx, Arena& arena, const char* name, const Tensor& host);
Tensor upload(Context& ctx, Arena& arena, const char* name, std::span<const int32_t> host);

// A contiguous host copy of a contiguous tensor. Waits for the device.
OwnedTensor to_host(Context& ctx, const Tensor& t);
// The values of an f32 or f64 tensor of any device as doubles. Waits for the device.
std::vector<double> download_doubles(Context& ctx, const Tensor& t);
// The values of an i32 tensor. Waits for the device.
std::vector<int32_t> download_ints(Context& ctx, const Tensor& t);

// Waits until everything queued on the context's stream is done; reports what failed there.
void synchronize(Context& ctx);

}  // namespace temper
