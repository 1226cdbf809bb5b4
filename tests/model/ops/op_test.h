// What the tests of the ops share: tensors with owners, column slices in poisoned surroundings.
#pragma once

#include <cmath>
#include <limits>
#include <list>
#include <vector>

#include "core/context.h"
#include "tests/support/catch.h"
#include "tests/support/gradient_check.h"
#include "tests/support/worse.h"

namespace temper::test {

// Makes tensors for one test and owns them.
class Tensors {
 public:
  // Every element NaN: an op that reads what it should only write shows.
  Tensor poisoned(DType dtype, std::initializer_list<int64_t> dims) {
    owned_.push_back(allocate(dtype, dims));
    fill_constant(owned_.back().view, std::numeric_limits<double>::quiet_NaN());
    return owned_.back().view;
  }
  Tensor zeros(DType dtype, std::initializer_list<int64_t> dims) {
    owned_.push_back(allocate(dtype, dims));
    return owned_.back().view;
  }
  Tensor normal(DType dtype, std::initializer_list<int64_t> dims, double sigma = 1.0) {
    const Tensor t = zeros(dtype, dims);
    fill_normal(t, ++seed_, sigma);
    return t;
  }
  // The same, as a column slice of a wider tensor whose other columns are NaN.
  Tensor normal_slice(DType dtype, std::initializer_list<int64_t> dims, double sigma = 1.0) {
    const Tensor t = slice(dtype, dims);
    fill_normal(t, ++seed_, sigma);
    return t;
  }
  Tensor zeros_slice(DType dtype, std::initializer_list<int64_t> dims) {
    const Tensor t = slice(dtype, dims);
    fill_constant(t, 0.0);
    return t;
  }
  Tensor slice(DType dtype, std::initializer_list<int64_t> dims) {
    std::vector<int64_t> wide(dims);
    const int64_t cols = wide.back();
    wide.back() += 5;
    Tensor whole;
    if (wide.size() == 1) whole = poisoned(dtype, {wide[0]});
    if (wide.size() == 2) whole = poisoned(dtype, {wide[0], wide[1]});
    if (wide.size() == 3) whole = poisoned(dtype, {wide[0], wide[1], wide[2]});
    return whole.slice_cols(3, cols);
  }
  Tensor ints(std::initializer_list<int64_t> dims, std::vector<int32_t> values) {
    const Tensor t = zeros(DType::i32, dims);
    std::copy(values.begin(), values.end(), t.get<int32_t>());
    return t;
  }
  Tensor copy_of(const Tensor& t) {
    owned_.push_back({Buffer(static_cast<size_t>(t.numel()) * size_of(t.dtype), Device::cpu), t});
    Tensor& out = owned_.back().view;
    out.data = owned_.back().buffer.data();
    out.row_stride = t.cols();
    dispatch_float(t.dtype, [&]<class T>() {
      for (int64_t i = 0; i < t.rows(); ++i)
        std::copy(t.row<T>(i), t.row<T>(i) + t.cols(), out.row<T>(i));
    });
    return out;
  }
  // 2 t: what a gradient that adds must hold after the second call.
  Tensor doubled(const Tensor& t) {
    const Tensor out = copy_of(t);
    for (int64_t i = 0; i < out.rows(); ++i)
      for (int64_t j = 0; j < out.cols(); ++j) out.row<double>(i)[j] *= 2.0;
    return out;
  }

 private:
  std::list<OwnedTensor> owned_;
  uint64_t seed_ = 0;
};

// Largest |a - b| over the largest |b|; NaN anywhere gives NaN.
inline double relative_difference(const Tensor& a, const Tensor& b) {
  double off = 0.0, size = 1e-30;
  REQUIRE(a.rows() == b.rows());
  REQUIRE(a.cols() == b.cols());
  dispatch_float(a.dtype, [&]<class T>() {
    for (int64_t i = 0; i < a.rows(); ++i) {
      for (int64_t j = 0; j < a.cols(); ++j) {
        const double x = static_cast<double>(a.row<T>(i)[j]);
        const double y = static_cast<double>(b.row<T>(i)[j]);
        off = worse(off, std::abs(x - y));
        size = std::max(size, std::abs(y));
      }
    }
  });
  return off / size;
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  bool same = a.rows() == b.rows() && a.cols() == b.cols() && a.dtype == b.dtype;
  const size_t bytes = static_cast<size_t>(a.cols()) * size_of(a.dtype);
  const auto row = [](const Tensor& t, int64_t i) {
    return static_cast<const char*>(t.data) +
           i * t.row_stride * static_cast<int64_t>(size_of(t.dtype));
  };
  for (int64_t i = 0; same && i < a.rows(); ++i)
    same = std::equal(row(a, i), row(a, i) + bytes, row(b, i));
  return same;
}

}  // namespace temper::test
