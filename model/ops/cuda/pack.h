// Several neighbouring numbers of a row read or written at once.
#pragma once

#include <initializer_list>

#include "model/ops/cuda/kernel.h"

namespace temper::cuda {

// The numbers in 16 bytes: the widest access of a thread.
template <class T>
constexpr int kWide = 16 / static_cast<int>(sizeof(T));

template <class T, int kCount>
struct alignas(sizeof(T) * kCount < 16 ? sizeof(T) * kCount : 16) Pack {
  T at[kCount];
};

// Whether every row of the view can be taken 16 bytes at a time.
template <class T>
bool packs(const Rows<T>& rows) {
  const auto aligned = [](uint64_t bytes) { return bytes % 16 == 0; };
  if (rows.data == nullptr) return true;
  return aligned(reinterpret_cast<uint64_t>(rows.data)) && aligned(rows.cols * sizeof(T)) &&
         (rows.rows <= 1 || aligned(rows.stride * sizeof(T)));
}

// Calls body.template operator()<N>() with N = kWide<T> where all the views allow it, else 1.
template <class T, class Body>
void dispatch_pack(std::initializer_list<Rows<T>> views, Body&& body) {
  for (const Rows<T>& view : views)
    if (!packs(view)) return body.template operator()<1>();
  body.template operator()<kWide<T>>();
}

#ifdef __CUDACC__

template <int kCount, class T>
__device__ inline Pack<T, kCount> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, kCount>*>(from);
}
template <int kCount, class T>
__device__ inline void store_pack(T* to, const Pack<T, kCount>& pack) {
  *reinterpret_cast<Pack<T, kCount>*>(to) = pack;
}

// The N neighbours of one row that are a thread's share, in a grid of one dimension.
struct Place {
  int64_t row, col;
};
template <int N>
__device__ Place place_of(int64_t cols) {
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, per_row = cols / N;
  if (index < (int64_t{1} << 31) && per_row < (int64_t{1} << 31)) {  // 32-bit division is faster
    const auto i = static_cast<uint32_t>(index), n = static_cast<uint32_t>(per_row);
    return {i / n, int64_t{i % n} * N};
  }
  return {index / per_row, index % per_row * N};
}

template <int kCount, class T>
__device__ Pack<T, kCount>& pack_at(T* row, int64_t pack) {
  return reinterpret_cast<Pack<T, kCount>*>(row)[pack];
}

#endif

}  // namespace temper::cuda
