// Work that a device does while the host goes on: memory that both may touch, marks in the queue,
// and pieces of work that are recorded once and then started with one call. On the CPU everything
// is done at once.
#pragma once

#include <cstddef>
#include <functional>

#include "core/context.h"

namespace temper {

// Host memory that a device can read and write while the host goes on. Move-only, zero-filled.
class HostBuffer {
 public:
  HostBuffer() = default;
  HostBuffer(size_t bytes, Device device);
  ~HostBuffer();
  HostBuffer(HostBuffer&& other) noexcept;
  HostBuffer& operator=(HostBuffer&& other) noexcept;
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  Device device_ = Device::cpu;
};

// Queues a copy between device memory and a HostBuffer: neither may be touched by the host before a
// mark behind it was waited for.
void queue_copy(Context& ctx, void* to, const void* from, size_t bytes);

// A place in a context's queue that the host can wait for. Move-only.
class QueueMark {
 public:
  explicit QueueMark(Device device);
  ~QueueMark();
  QueueMark(QueueMark&& other) noexcept;
  QueueMark& operator=(QueueMark&&) = delete;
  QueueMark(const QueueMark&) = delete;
  QueueMark& operator=(const QueueMark&) = delete;

  // Behind all that is queued now.
  void set(Context& ctx);
  // Returns when the device has come to where the mark was set last; at once if it never was.
  void wait();
  // Whether wait() would return at once.
  bool reached() const;

 private:
  void* event_ = nullptr;  // null on the CPU
};

// Work that is always the same: the same kernels on the same addresses with the same numbers, what
// differs lying in the memory that they read. It runs as it is the first time, is recorded the
// second, and is started by one call from then on. Move-only.
class Recording {
 public:
  Recording() = default;
  ~Recording();
  Recording(Recording&& other) noexcept;
  Recording& operator=(Recording&&) = delete;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // Queues `work`, which must neither wait for the device nor take new device memory when it is
  // called the second time.
  void play(Context& ctx, const std::function<void()>& work);

 private:
  void* graph_ = nullptr;
  int plays_ = 0;
};

}  // namespace temper
