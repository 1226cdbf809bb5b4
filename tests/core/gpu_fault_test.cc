// What is said when a GPU fails; the failing itself is in tests/cli/gpu_test.cc.
#ifdef TEMPER_WITH_CUDA
#include "core/cuda/fault.h"
#include "core/cuda/memory.h"
#include "core/cuda/runtime.h"
#include "core/device_lost.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

// What check() throws for `status`, and whether it takes the GPU for lost.
template <class Status>
std::pair<std::string, bool> told(Status status) {
  try {
    cuda::check(status);
  } catch (const DeviceLost& error) {
    return {error.what(), true};
  } catch (const SystemError& error) {
    return {error.what(), false};
  }
  return {"", false};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("gpu: an error after which the GPU is lost says so, and what to do") {
  struct Case {
    cudaError_t status;
    const char *name, *advice;
  };
  for (const Case& c :
       {Case{cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable",
             "memory of the GPU has failed"},
        Case{cudaErrorDevicesUnavailable, "cudaErrorDevicesUnavailable", "the GPU is gone"},
        Case{cudaErrorNvlinkUncorrectable, "cudaErrorNvlinkUncorrectable", "Xid"},
        Case{cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "a kernel failed"},
        Case{cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "a kernel failed"},
        Case{cudaErrorUnknown, "cudaErrorUnknown", "nvidia-smi"}}) {
    INFO(c.name);
    const auto [text, lost] = told(c.status);
    CHECK(lost);
    CHECK(has(text, c.name));
    CHECK(has(text, c.advice));
    CHECK(has(text, "gpu_fault_test.cc:"));  // where it was noticed
  }
}

TEST_CASE("gpu: a driver that is missing or too old is told apart") {
  CHECK(cuda::driver_problem(0, 13000) == "there is no NVIDIA driver here (libcuda.so.1)");
  CHECK(has(cuda::driver_problem(12040, 13000), "for CUDA 12.4, and this build is of CUDA 13.0"));
}

TEST_CASE("gpu: other errors of CUDA and cuBLASLt leave it usable") {
  for (const cudaError_t status :
       {cudaErrorInvalidValue, cudaErrorMemoryAllocation, cudaErrorStreamCaptureInvalidated}) {
    const auto [text, lost] = told(status);
    CHECK_FALSE(lost);
    CHECK(has(text, cudaGetErrorName(status)));
  }
  CHECK(told(cudaSuccess).first.empty());
  const auto [text, lost] = told(CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK_FALSE(lost);
  CHECK(has(text, "cuBLASLt: "));
}
#endif
