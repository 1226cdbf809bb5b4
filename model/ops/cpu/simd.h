// Vector types and the few vectorised functions that the CPU kernels share.
// Everything here gives the same bits for the same elements whatever their address is.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#if defined(__AVX__) && defined(__FMA__)
#include <immintrin.h>
#endif

namespace temper::cpu {

// 32 bytes of T: one AVX2 register, or whatever the compiler makes of it elsewhere.
template <class T>
struct Simd;
template <>
struct Simd<float> {
  static constexpr int kLanes = 8;
  typedef float Vec __attribute__((vector_size(32)));
  typedef float Loose __attribute__((vector_size(32), aligned(4), may_alias));
};
template <>
struct Simd<double> {
  static constexpr int kLanes = 4;
  typedef double Vec __attribute__((vector_size(32)));
  typedef double Loose __attribute__((vector_size(32), aligned(8), may_alias));
};

// sum += a * b for every lane, fused where the machine can. Spelled out because a compiler left to
// itself fuses in one loop and not in the next (GCC avoids chains of FMAs on some targets), and
// then the bits of a product would depend on the shape of the tile that computed it.
inline void multiply_add(Simd<float>::Vec& sum, float a, const Simd<float>::Vec& b) {
#if defined(__AVX__) && defined(__FMA__)
  sum = _mm256_fmadd_ps(_mm256_set1_ps(a), b, sum);
#else
  sum += a * b;
#endif
}
inline void multiply_add(Simd<double>::Vec& sum, double a, const Simd<double>::Vec& b) {
#if defined(__AVX__) && defined(__FMA__)
  sum = _mm256_fmadd_pd(_mm256_set1_pd(a), b, sum);
#else
  sum += a * b;
#endif
}

// exp(x) within 2 ulp for x in [-87.3, 88]; 0 below; e^88 above; NaN stays NaN.
// Cody-Waite reduction to |r| <= ln2/2 and a polynomial of degree 6 with the Taylor start 1 + r.
// Selections are by bits: a conditional expression would become a branch, and no vector.
inline float fast_exp(float x) {
  const float low = x < -87.3f ? -87.3f : x;
  const float clamped = low > 88.0f ? 88.0f : low;
  const float shifted = clamped * 1.44269504f + 12582912.0f;  // rounds to an integer
  const float n = shifted - 12582912.0f;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const uint32_t power = (std::bit_cast<uint32_t>(shifted) + 127u) << 23;
  const uint32_t keep = static_cast<uint32_t>(x < -87.3f) - 1u;  // all ones unless far below
  const uint32_t bits = std::bit_cast<uint32_t>(p * std::bit_cast<float>(power));
  return std::bit_cast<float>(bits & keep);
}
inline double fast_exp(double x) {
  return std::exp(x);
}

// 1 / (1 + exp(-x)).
template <class T>
inline T sigmoid(T x) {
  return T(1) / (T(1) + fast_exp(-x));
}

// Sum of term(0) .. term(n-1) in one fixed order: eight running sums, then pairwise.
template <class Acc, class Term>
inline Acc lane_sum(int64_t n, Term term) {
  Acc lane[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
#pragma omp simd
    for (int l = 0; l < 8; ++l) lane[l] += static_cast<Acc>(term(i + l));
  }
  for (int l = 0; i < n; ++i, ++l) lane[l] += static_cast<Acc>(term(i));
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

// Largest of x[0] .. x[n-1], n > 0; a NaN may or may not show.
template <class T>
inline T row_max(const T* x, int64_t n) {
  T best = x[0];
#pragma omp simd reduction(max : best)
  for (int64_t i = 0; i < n; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

}  // namespace temper::cpu
