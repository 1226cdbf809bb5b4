// Owners of tensor memory: Buffer (one block) and Arena (a stack of named allocations).
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace temper {

// A 256-byte aligned block of memory on one device. Move-only.
class Buffer {
 public:
  Buffer() = default;
  Buffer(size_t bytes, Device device);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  Device device_ = Device::cpu;
};

// A tensor together with its memory. Move-only.
struct OwnedTensor {
  Buffer buffer;
  Tensor view;
};
// Allocates a zero-filled tensor.
OwnedTensor allocate(DType dtype, std::initializer_list<int64_t> dims, Device device = Device::cpu);

// A stack allocator of named tensors over chunks that are kept and reused, so that a step loop
// allocates nothing after its first step. The high-water mark and the live names are kept, so that
// an out-of-memory report can say who took what. Memory is NOT cleared.
class Arena {
 public:
  explicit Arena(Device device = Device::cpu) : device_(device) {}

  // `name` must outlive the allocation (a literal).
  Tensor tensor(const char* name, DType dtype, std::initializer_list<int64_t> dims);

  // Everything allocated after mark() is given back by release(mark).
  struct Mark {
    size_t chunk = 0, offset = 0, live = 0, bytes = 0;
  };
  Mark mark() const;
  void release(const Mark& mark);
  // Gives everything back.
  void reset();

  Device device() const { return device_; }
  size_t live_bytes() const { return live_bytes_; }
  size_t high_water_bytes() const { return high_water_; }
  size_t reserved_bytes() const;
  // One line a name, largest first: "12.4 MiB  mla.q".
  std::string report() const;

 private:
  struct Allocation {
    const char* name;
    size_t bytes;
  };
  void* take(size_t bytes);

  Device device_;
  std::vector<Buffer> chunks_;
  size_t chunk_ = 0, offset_ = 0;  // the next free byte
  std::vector<Allocation> live_;
  size_t live_bytes_ = 0, high_water_ = 0;
};

// Gives back at scope exit what was allocated in the scope.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.release(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  Arena::Mark mark_;
};

}  // namespace temper
