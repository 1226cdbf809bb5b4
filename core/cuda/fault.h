// What an error of CUDA says about the GPU.
#pragma once

#include <cuda_runtime.h>

#include <string_view>

namespace temper::cuda {

// What became of the GPU and what can be done about it, for an error after which this process can
// do nothing more with it; "" for every other one.
// Source: the CUDA Runtime API's description of each cudaError ("the process must be terminated and
// relaunched"), and of those that say that a device is gone.
std::string_view loss_of_device(cudaError_t status);

}  // namespace temper::cuda
