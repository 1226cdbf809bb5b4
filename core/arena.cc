#include "core/arena.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "core/cuda/memory.h"
#include "core/device.h"
#include "core/host_memory.h"
#include "core/out_of_memory.h"

namespace temper {
namespace {

constexpr size_t kAlignment = 256;  // what the GPU's widest loads and cuBLASLt like
constexpr size_t kSmallestChunk = size_t{8} << 20;

size_t round_up(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

int64_t element_count(std::initializer_list<int64_t> dims) {
  int64_t n = 1;
  for (int64_t d : dims) {
    require(d >= 0, "negative dimension");
    n *= d;
  }
  return n;
}

}  // namespace

Buffer::Buffer(size_t bytes, Device device) : bytes_(round_up(bytes)), device_(device) {
  if (bytes_ == 0) return;
  if (device == Device::cuda) {
    require(kWithCuda, "this build has no CUDA memory");
    if constexpr (kWithCuda) data_ = cuda::allocate(bytes_);
    return;
  }
  data_ = std::aligned_alloc(kAlignment, bytes_);
  if (data_ == nullptr)
    throw OutOfMemory("out of memory: " + std::to_string(bytes_ >> 20) + " MiB asked for, " +
                      std::to_string(available_host_memory() >> 20) +
                      " MiB left (see ulimit -v and the container's memory limit)");
}

Buffer::~Buffer() {
  if (device_ == Device::cpu) {
    std::free(data_);
  } else if constexpr (kWithCuda) {
    cuda::free(data_);
  }
}

Buffer::Buffer(Buffer&& other) noexcept {
  *this = std::move(other);
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(device_, other.device_);
  return *this;
}

OwnedTensor allocate(DType dtype, std::initializer_list<int64_t> dims, Device device) {
  OwnedTensor out;
  out.buffer = Buffer(static_cast<size_t>(element_count(dims)) * size_of(dtype), device);
  if (out.buffer.data() == nullptr) {
    // nothing to clear
  } else if (device == Device::cpu) {
    std::memset(out.buffer.data(), 0, out.buffer.bytes());
  } else if constexpr (kWithCuda) {
    cuda::clear(out.buffer.data(), out.buffer.bytes());
  }
  out.view = make_tensor(out.buffer.data(), dtype, dims, device);
  return out;
}

Tensor Arena::tensor(const char* name, DType dtype, std::initializer_list<int64_t> dims) {
  const size_t bytes = round_up(static_cast<size_t>(element_count(dims)) * size_of(dtype));
  void* data = take(bytes);
  live_.push_back({name, bytes});
  live_bytes_ += bytes;
  high_water_ = std::max(high_water_, live_bytes_);
  return make_tensor(data, dtype, dims, device_);
}

void* Arena::take(size_t bytes) {
  while (chunk_ < chunks_.size() && offset_ + bytes > chunks_[chunk_].bytes()) {
    ++chunk_;
    offset_ = 0;
  }
  if (chunk_ == chunks_.size()) {
    // Chunks double, so that a steady state is reached in few allocations.
    const size_t last = chunks_.empty() ? 0 : chunks_.back().bytes();
    chunks_.emplace_back(std::max({bytes, kSmallestChunk, std::min(2 * last, size_t{1} << 30)}),
                         device_);
    offset_ = 0;
  }
  void* data = static_cast<char*>(chunks_[chunk_].data()) + offset_;
  offset_ += bytes;
  return data;
}

Arena::Mark Arena::mark() const {
  return {chunk_, offset_, live_.size(), live_bytes_};
}

void Arena::reset() {
  release(Mark{});
  // One block of the size that was needed wastes nothing at the ends of chunks: from the second
  // step on the reserved memory is what the step takes.
  if (chunks_.size() <= 1) return;
  chunks_.clear();
  chunks_.emplace_back(high_water_, device_);
}

void Arena::release(const Mark& mark) {
  require(mark.live <= live_.size(), "arena marks released out of order");
  chunk_ = mark.chunk;
  offset_ = mark.offset;
  live_.resize(mark.live);
  live_bytes_ = mark.bytes;
}

size_t Arena::reserved_bytes() const {
  size_t total = 0;
  for (const Buffer& chunk : chunks_) total += chunk.bytes();
  return total;
}

std::string Arena::report() const {
  std::map<std::string, size_t> by_name;
  for (const Allocation& a : live_) by_name[a.name] += a.bytes;
  std::vector<std::pair<size_t, std::string>> order;
  for (const auto& [name, bytes] : by_name) order.emplace_back(bytes, name);
  std::sort(order.rbegin(), order.rend());
  std::string text;
  for (const auto& [bytes, name] : order) {
    char line[64];
    std::snprintf(line, sizeof line, "%10.1f MiB  ", static_cast<double>(bytes) / (1 << 20));
    text += line + name + "\n";
  }
  return text;
}

}  // namespace temper
