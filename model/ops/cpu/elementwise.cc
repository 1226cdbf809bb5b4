#include "model/ops/cpu/elementwise.h"

#include <cstring>
#include <string>

#include "core/narrow_float.h"
#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/simd.h"

namespace temper::cpu {
namespace {

// A contiguous tensor as rows of a length that divides well among threads, else its own rows.
struct Rows {
  int64_t count = 0, length = 0, stride = 0, last = 0;  // last: length of the last row
};
Rows rows_of(const Tensor& x, bool flat) {
  constexpr int64_t kLength = 8192;
  if (!flat) return {x.rows(), x.cols(), x.row_stride, x.cols()};
  const int64_t n = x.numel(), count = (n + kLength - 1) / kLength;
  return {count, kLength, kLength, n - (count - 1) * kLength};
}

// Calls body(length, a_row, b_row, c_row) on matching rows of three tensors of one type.
template <class T, class Body>
void for_rows(Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c, Body&& body) {
  const bool flat = a.contiguous() && b.contiguous() && c.contiguous();
  const Rows ra = rows_of(a, flat), rb = rows_of(b, flat), rc = rows_of(c, flat);
  parallel_rows(ctx, ra.count, ra.length, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      body(i + 1 == ra.count ? ra.last : ra.length, a.get<T>() + i * ra.stride,
           b.get<T>() + i * rb.stride, c.get<T>() + i * rc.stride);
  });
}

// Elements of the 16-bit types are read and written through f32.
struct Bf16 {
  uint16_t bits;
  operator float() const { return from_bf16(bits); }
  Bf16& operator=(float x) {
    bits = to_bf16(x);
    return *this;
  }
};
struct F16 {
  uint16_t bits;
  operator float() const { return from_f16(bits); }
  F16& operator=(float x) {
    bits = to_f16(x);
    return *this;
  }
};

template <class Body>
void dispatch_any_float(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::f32:
      return body.template operator()<float>();
    case DType::f64:
      return body.template operator()<double>();
    case DType::bf16:
      return body.template operator()<Bf16>();
    case DType::f16:
      return body.template operator()<F16>();
    default:
      require(false, "copy does not convert " + std::string(name_of(dtype)));
  }
}

template <class To, class From>
void convert(Context& ctx, const Tensor& y, const Tensor& x) {
  parallel_rows(ctx, x.rows(), x.cols(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const From* from = static_cast<const From*>(x.data) + i * x.row_stride;
      To* to = static_cast<To*>(y.data) + i * y.row_stride;
      for (int64_t j = 0; j < x.cols(); ++j) {
        if constexpr (std::is_same_v<To, float> || std::is_same_v<To, double>)
          to[j] = static_cast<To>(from[j]);
        else
          to[j] = static_cast<float>(from[j]);
      }
    }
  });
}

}  // namespace

void fill_zero(Context& ctx, Tensor y) {
  const int64_t size = static_cast<int64_t>(size_of(y.dtype));
  char* data = static_cast<char*>(y.data);
  const Rows rows = rows_of(y, y.contiguous());
  parallel_rows(ctx, rows.count, rows.length, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t length = i + 1 == rows.count ? rows.last : rows.length;
      std::memset(data + i * rows.stride * size, 0, static_cast<size_t>(length * size));
    }
  });
}

void copy(Context& ctx, Tensor y, Tensor x) {
  if (y.dtype == x.dtype) {
    const size_t bytes = static_cast<size_t>(x.cols()) * size_of(x.dtype);
    const int64_t size = static_cast<int64_t>(size_of(x.dtype));
    if (bytes == 0) return;
    parallel_rows(ctx, x.rows(), x.cols(), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        std::memcpy(static_cast<char*>(y.data) + i * y.row_stride * size,
                    static_cast<const char*>(x.data) + i * x.row_stride * size, bytes);
    });
    return;
  }
  dispatch_any_float(y.dtype, [&]<class To>() {
    dispatch_any_float(x.dtype, [&]<class From>() { convert<To, From>(ctx, y, x); });
  });
}

void add(Context& ctx, Tensor out, Tensor a, Tensor b) {
  dispatch_float(out.dtype, [&]<class T>() {
    for_rows<T>(ctx, out, a, b, [](int64_t n, T* y, const T* p, const T* q) {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) y[i] = p[i] + q[i];
    });
  });
}

void scale(Context& ctx, Tensor y, double factor) {
  dispatch_float(y.dtype, [&]<class T>() {
    const T f = static_cast<T>(factor);
    for_rows<T>(ctx, y, y, y, [f](int64_t n, T* out, const T*, const T*) {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) out[i] *= f;
    });
  });
}

double sum_of_squares(Context& ctx, Tensor x) {
  // One partial sum a row (or fixed stretch of a flat tensor), added up in order.
  const Rows rows = rows_of(x, x.contiguous());
  if (x.numel() == 0) return 0.0;
  ArenaScope scope(ctx.scratch);
  double* partial = ctx.scratch.tensor("sum_of_squares", DType::f64, {rows.count}).get<double>();
  dispatch_float(x.dtype, [&]<class T>() {
    parallel_rows(ctx, rows.count, rows.length, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* row = x.get<T>() + i * rows.stride;
        partial[i] =
            lane_sum<double>(i + 1 == rows.count ? rows.last : rows.length, [row](int64_t j) {
              const double value = row[j];
              return value * value;
            });
      }
    });
  });
  double sum = 0.0;
  for (int64_t i = 0; i < rows.count; ++i) sum += partial[i];
  return sum;
}

}  // namespace temper::cpu
