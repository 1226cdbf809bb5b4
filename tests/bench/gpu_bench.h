// What the benchmarks of the GPU's kernels share: random bf16 numbers on the device, and medians of
// calls with a cold L2 cache.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "core/cuda/runtime.h"

namespace temper::bench {

// About normal numbers of standard deviation 1, as bf16 bits.
inline std::vector<uint16_t> random_bf16(size_t count, uint64_t seed) {
  std::vector<uint16_t> all(count);
  uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (uint16_t& x : all) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto part = [&](int shift) { return static_cast<float>(state >> shift & 0xFFFF); };
    const float value = (part(16) + part(32) + part(48) - 98302.5F) / 32768.0F;
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    x = static_cast<uint16_t>(bits >> 16);
  }
  return all;
}
inline float widen(uint16_t x) {
  const uint32_t bits = static_cast<uint32_t>(x) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

struct Device16 {
  Buffer buffer;
  Tensor view;
};
// A [rows, cols] bf16 tensor whose rows are `stride` apart, filled by repeating `from`.
inline Device16 make(const std::vector<uint16_t>& from, int64_t rows, int64_t cols,
                     int64_t stride) {
  const size_t bytes = static_cast<size_t>(rows * stride) * 2;
  Device16 out{Buffer(bytes, Device::cuda), {}};
  auto* data = static_cast<char*>(out.buffer.data());
  size_t have = std::min(bytes, from.size() * 2);
  cuda::check(cudaMemcpy(data, from.data(), have, cudaMemcpyHostToDevice));
  for (; have < bytes; have += std::min(have, bytes - have))
    cuda::check(
        cudaMemcpy(data + have, data, std::min(have, bytes - have), cudaMemcpyDeviceToDevice));
  out.view = make_tensor(data, DType::bf16, {rows, cols}, Device::cuda);
  out.view.row_stride = stride;
  return out;
}

inline Buffer to_device(const std::vector<int32_t>& numbers) {
  Buffer buffer(numbers.size() * 4, Device::cuda);
  cuda::check(
      cudaMemcpy(buffer.data(), numbers.data(), numbers.size() * 4, cudaMemcpyHostToDevice));
  return buffer;
}

// The median time of `repeats` calls by CUDA events, each after the L2 cache was filled with
// `flush`; two calls come before.
template <class Body>
float median_ms(Context& ctx, const Buffer& flush, int repeats, Body&& body) {
  cudaEvent_t begin = nullptr, end = nullptr;
  cuda::check(cudaEventCreate(&begin));
  cuda::check(cudaEventCreate(&end));
  std::vector<float> times;
  for (int i = -2; i < repeats; ++i) {
    cuda::check(cudaMemsetAsync(flush.data(), i, flush.bytes(), ctx.cuda->stream));
    cuda::check(cudaEventRecord(begin, ctx.cuda->stream));
    body();
    cuda::check(cudaEventRecord(end, ctx.cuda->stream));
    cuda::check(cudaEventSynchronize(end));
    float ms = 0;
    cuda::check(cudaEventElapsedTime(&ms, begin, end));
    if (i >= 0) times.push_back(ms);
  }
  cuda::check(cudaEventDestroy(begin));
  cuda::check(cudaEventDestroy(end));
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

}  // namespace temper::bench
