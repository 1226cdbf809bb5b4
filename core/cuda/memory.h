// Raw device memory and copies, without CUDA's headers (core/device.h is what others use).
#pragma once

#include <cstddef>
#include <string>

#include "core/context.h"
#include "core/device.h"

namespace temper::cuda {

// How many GPUs the driver shows; 0 without a driver, or where this build's kernels do not run.
int device_count();
GpuInfo info();  // of a device that can be used
// Why no GPU can be used ("no CUDA-capable device is detected"), or empty.
std::string device_problem();
// What is wrong with a driver that the runtime refuses. Versions are CUDA's, 13000 for 13.0; the
// driver's is 0 where there is none.
std::string driver_problem(int driver, int runtime);
size_t free_bytes();
void* allocate(size_t bytes);  // throws SystemError when the card is full, with what is free
void free(void* data) noexcept;
void clear(void* data, size_t bytes);
void copy(Runtime& runtime, void* to, const void* from, size_t bytes, bool host_to_device,
          bool device_to_host);
void synchronize(Runtime& runtime);

}  // namespace temper::cuda
