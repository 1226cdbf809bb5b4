#include <algorithm>

#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/router.h"

namespace temper::cuda {
namespace {

constexpr int kLayers = 64;  // of a launch, at most

struct Biases {
  float* at[kLayers];  // null: a layer without
};

// A block a layer.
__global__ void bias_kernel(Biases biases, const int32_t* counts, int64_t experts, float speed) {
  follow();
  float* bias = biases.at[blockIdx.x];
  if (bias == nullptr) return;
  const int32_t* of_layer = counts + blockIdx.x * experts;
  int64_t sum = 0;
  for (int64_t e = 0; e < experts; ++e) sum += of_layer[e];
  for (int64_t e = threadIdx.x; e < experts; e += blockDim.x) {
    // The sign of mean - count, without rounding.
    const int64_t gap = sum - int64_t{of_layer[e]} * experts;
    bias[e] += gap > 0 ? speed : gap < 0 ? -speed : 0.0F;
  }
}

}  // namespace

void router_bias_step(Context& ctx, std::span<const Tensor> biases, Tensor counts, double speed) {
  for (size_t first = 0; first < biases.size(); first += kLayers) {
    const size_t layers = std::min<size_t>(kLayers, biases.size() - first);
    Biases of{};
    for (size_t l = 0; l < layers; ++l) of.at[l] = data_of<float>(biases[first + l]);
    launch_following(ctx, bias_kernel, {static_cast<unsigned>(layers), 128}, of,
                     data_of<int32_t>(counts) + static_cast<int64_t>(first) * counts.cols(),
                     counts.cols(), static_cast<float>(speed));
  }
}

}  // namespace temper::cuda
