// Kernels that start before those in front of them have ended.
#pragma once

#include <utility>

#include "model/ops/cuda/kernel.h"

namespace temper::cuda {

// Whether what is queued now is recorded as a graph. A graph begins when all before it is done, so
// that kernels in it may read what no kernel of it writes before they follow().
bool is_recording(Context& ctx);
// Whether the card has early starts.
bool starts_early(const Context& ctx);

#ifdef __CUDACC__

// How a kernel is started, and with blocks of how many threads.
struct LaunchShape {
  dim3 grid, threads;
  size_t shared = 0;
  unsigned cluster = 1;      // blocks, along x
  bool reads_ahead = false;  // of follow(), what only a recording makes sure that it lies there
};
// In a recording kernels of more blocks have enough to do without, and would take up the places of
// those before: generation with SmolLM2, 512 rows a step, is 3 % slower where they start early too.
constexpr unsigned kMostEarlyBlocks = 264;

// Starts a kernel whose threads call follow() before they touch what other kernels touch. Its
// blocks come to the GPU while the kernel before still runs (in a recording if they are few): what
// a start costs is hidden there. Source: NVIDIA, CUDA Programming Guide, "programmatic dependent
// launch".
template <class... Parameters, class... Arguments>
void launch_following(Context& ctx, void (*kernel)(Parameters...), const LaunchShape& shape,
                      Arguments&&... arguments) {
  cudaLaunchAttribute attributes[2] = {};
  unsigned count = 0;
  if (shape.cluster > 1) {
    attributes[count].id = cudaLaunchAttributeClusterDimension;
    attributes[count++].val.clusterDim = {shape.cluster, 1, 1};
  }
  const bool few = uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z <= kMostEarlyBlocks;
  if (starts_early(ctx) && (is_recording(ctx) ? few : !shape.reads_ahead)) {
    attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[count++].val.programmaticStreamSerializationAllowed = 1;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.threads;
  config.dynamicSmemBytes = shape.shared;
  config.stream = stream_of(ctx);
  config.attrs = attributes;
  config.numAttrs = count;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}
// Lets the next kernel's blocks come, then waits until all kernels before are done and what they
// wrote is seen. Nothing where the kernel was not started early. A kernel that is started early
// must call it in every block, or those behind it would not wait for those before it.
__device__ inline void follow() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;\n" ::: "memory");
  asm volatile("griddepcontrol.wait;\n" ::: "memory");
#endif
}

#endif

}  // namespace temper::cuda
