#include "core/queue.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/cuda/queue.h"
#include "core/device.h"
#include "core/error.h"

namespace temper {

HostBuffer::HostBuffer(size_t bytes, Device device) : bytes_(bytes), device_(device) {
  if (bytes_ == 0) return;
  if (device_ == Device::cpu) {
    data_ = std::malloc(bytes_);
    if (data_ == nullptr) throw SystemError("out of memory");
  } else if constexpr (kWithCuda) {
    data_ = cuda::allocate_pinned(bytes_);
  }
  require(data_ != nullptr, "this build has no CUDA memory");
  std::memset(data_, 0, bytes_);
}

HostBuffer::~HostBuffer() {
  if (device_ == Device::cpu) {
    std::free(data_);
  } else if constexpr (kWithCuda) {
    cuda::free_pinned(data_);
  }
}

HostBuffer::HostBuffer(HostBuffer&& other) noexcept {
  *this = std::move(other);
}

HostBuffer& HostBuffer::operator=(HostBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(device_, other.device_);
  return *this;
}

void queue_copy(Context& ctx, void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (ctx.cuda == nullptr) {
    std::memcpy(to, from, bytes);
  } else if constexpr (kWithCuda) {
    cuda::queue_copy(*ctx.cuda, to, from, bytes);
  }
}

QueueMark::QueueMark(Device device) {
  if (device == Device::cpu) return;
  if constexpr (kWithCuda) event_ = cuda::make_event();
}

QueueMark::~QueueMark() {
  if constexpr (kWithCuda) cuda::free_event(event_);
}

QueueMark::QueueMark(QueueMark&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}

void QueueMark::set(Context& ctx) {
  if constexpr (kWithCuda)
    if (event_ != nullptr) cuda::record_event(*ctx.cuda, event_);
}

void QueueMark::wait() {
  if constexpr (kWithCuda)
    if (event_ != nullptr) cuda::wait_event(event_);
}

bool QueueMark::reached() const {
  if constexpr (kWithCuda) return event_ == nullptr || cuda::event_reached(event_);
  return true;
}

Recording::~Recording() {
  if constexpr (kWithCuda) cuda::free_graph(graph_);
}

Recording::Recording(Recording&& other) noexcept
    : graph_(std::exchange(other.graph_, nullptr)), plays_(other.plays_) {}

void Recording::play(Context& ctx, const std::function<void()>& work) {
  if (ctx.cuda == nullptr || plays_++ == 0) return work();
  if constexpr (kWithCuda) {
    if (graph_ == nullptr) graph_ = cuda::record_graph(*ctx.cuda, work);
    cuda::play_graph(*ctx.cuda, graph_);
  }
}

}  // namespace temper
