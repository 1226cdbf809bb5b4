// A library to be preloaded: the program's GPU fails under it at its BREAK_GPU_AT-th copy, as it
// does when its memory goes bad: a kernel touches an address that does not exist, and every call of
// CUDA from then on gives that error.
#include <cuda_runtime.h>
#include <dlfcn.h>

#include <atomic>
#include <cstdlib>

namespace {

__global__ void touch_nothing(int* nowhere) {
  *nowhere = 1;
}

}  // namespace

// nvcc has a function of this name on the device already, hence the label.
extern "C" __attribute__((visibility("default"))) cudaError_t CUDARTAPI
copy_or_break(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
              cudaStream_t stream) asm("cudaMemcpyAsync");

extern "C" cudaError_t CUDARTAPI copy_or_break(void* to, const void* from, size_t bytes,
                                               cudaMemcpyKind kind, cudaStream_t stream) {
  using Copy = cudaError_t (*)(void*, const void*, size_t, cudaMemcpyKind, cudaStream_t);
  static const Copy real = reinterpret_cast<Copy>(dlsym(RTLD_NEXT, "cudaMemcpyAsync"));
  static const char* const at = std::getenv("BREAK_GPU_AT");
  static std::atomic<long> copies{0};
  if (at != nullptr && ++copies == std::atol(at)) touch_nothing<<<1, 1, 0, stream>>>(nullptr);
  return real(to, from, bytes, kind, stream);
}
