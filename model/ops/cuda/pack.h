// 16 bytes of a row at a time.
#pragma once

#include "model/ops/cuda/kernel.h"

namespace temper::cuda {

// N numbers that are loaded and stored together.
template <class T, int N>
struct alignas(N * sizeof(T)) Pack {
  T v[N];
};

template <class T>
inline constexpr int kPack = 16 / static_cast<int>(sizeof(T));

// Whether every row of the view starts at a 16-byte boundary and holds whole packs.
template <class T>
bool packs(const Rows<T>& rows) {
  if (rows.data == nullptr) return true;
  return reinterpret_cast<uintptr_t>(rows.data) % 16 == 0 && rows.cols % kPack<T> == 0 &&
         (rows.stride % kPack<T> == 0 || rows.rows <= 1);
}

#ifdef __CUDACC__
template <int N, class T>
__device__ inline Pack<T, N> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <int N, class T>
__device__ inline void store_pack(T* to, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}
#endif

}  // namespace temper::cuda
