// What the tests of the ops' CUDA sides share: the GPU, and tensors on both sides of the bus.
#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "core/device.h"
#include "core/narrow_float.h"
#include "tests/model/ops/op_test.h"
#include "tests/support/gpu.h"

namespace temper::test {

// The context of the first GPU, one for all tests; null where there is none, and then the running
// test says that it was skipped.
inline Context* gpu() {
  if (no_gpu()) return nullptr;
  static Context context(1, Device::cuda);
  take_card(context);
  return &context;
}

// Whether slow cases are left out: TEMPER_QUICK_TESTS is 1 under compute-sanitizer, 2 under its
// racecheck (tests/gpu/sanitize).
inline bool quick(int least = 1) {
  const char* how = std::getenv("TEMPER_QUICK_TESTS");
  return how != nullptr && std::atoi(how) >= least;
}

// How a device tensor's rows lie: next to each other, or as columns of something wider whose other
// columns are NaN, either at odd addresses or where 16-byte accesses are possible.
enum class Layout { dense, odd_slice, aligned_slice };
constexpr std::array<Layout, 3> kLayouts = {Layout::dense, Layout::odd_slice,
                                            Layout::aligned_slice};
// Whether racecheck does without: what is left meets each kernel in f32 and in bf16.
inline bool left_out(Layout layout, DType dtype) {
  return quick(2) && (layout == Layout::dense) != (dtype == DType::f32);
}

constexpr std::array<DType, 3> kDTypes = {DType::f32, DType::bf16, DType::f16};

// The bits of a number in a 16-bit type and back.
inline uint16_t narrow_bits(DType dtype, float x) {
  return dtype == DType::f16 ? to_f16(x) : to_bf16(x);
}
inline float wide_number(DType dtype, uint16_t bits) {
  return dtype == DType::f16 ? from_f16(bits) : from_bf16(bits);
}

// Rounds every element of an f32 host tensor to the nearest of `dtype`, if that is narrower.
inline void round_to(DType dtype, const Tensor& t) {
  if (dtype == DType::f32) return;
  for (int64_t i = 0; i < t.rows(); ++i)
    for (int64_t j = 0; j < t.cols(); ++j)
      t.row<float>(i)[j] = wide_number(dtype, narrow_bits(dtype, t.row<float>(i)[j]));
}

// The bound of a check in `dtype`: f16 rounds to 11 bits where bf16 rounds to 8.
constexpr double bound_in(DType dtype, double bound_f32, double bound_bf16) {
  if (dtype == DType::f32) return bound_f32;
  return dtype == DType::bf16 ? bound_bf16 : std::max(bound_f32, bound_bf16 / 6.0);
}

// Makes device tensors for one test and owns them.
class GpuTensors {
 public:
  explicit GpuTensors(Context& ctx) : ctx_(ctx) {}

  // A device tensor of `dtype` (f32, bf16 or f16) with the values of an f32 host tensor.
  Tensor upload(const Tensor& host, DType dtype, Layout layout = Layout::dense) {
    const Tensor out = room(host, dtype, layout);
    const Span span(out, layout);
    std::vector<char> image(span.bytes, kPoison);
    for (int64_t i = 0; i < host.rows(); ++i)
      for (int64_t j = 0; j < host.cols(); ++j)
        put(image.data() + span.at(i, j), dtype, host.row<float>(i)[j]);
    copy_bytes(ctx_, span.start, Device::cuda, image.data(), Device::cpu, image.size());
    return out;
  }
  // The same of i32 or f64 numbers.
  Tensor upload(const Tensor& host) { return temper::upload(ctx_, arena_, "test", host); }
  Tensor ints(const std::vector<int32_t>& values) {
    return temper::upload(ctx_, arena_, "test", std::span<const int32_t>(values));
  }
  // Every element NaN; the shape is that of the host tensor.
  Tensor poisoned(const Tensor& like, DType dtype, Layout layout = Layout::dense) {
    const Tensor out = room(like, dtype, layout);
    const Span span(out, layout);
    const std::vector<char> image(span.bytes, kPoison);
    copy_bytes(ctx_, span.start, Device::cuda, image.data(), Device::cpu, image.size());
    return out;
  }
  // An f32 host copy, owned by `make`. The columns around a slice must still be what they were.
  Tensor download(Tensors& make, const Tensor& device, Layout layout = Layout::dense) {
    const Span span(device, layout);
    std::vector<char> image(span.bytes);
    copy_bytes(ctx_, image.data(), Device::cpu, span.start, Device::cuda, image.size());
    const OwnedTensor host = allocate(DType::f32, {device.rows(), device.cols()});
    for (int64_t i = 0; i < device.rows(); ++i) {
      for (int64_t j = 0; j < device.cols(); ++j)
        host.view.row<float>(i)[j] = number(image.data() + span.at(i, j), device.dtype);
      std::memset(image.data() + span.at(i, 0), kPoison,
                  static_cast<size_t>(device.cols() * span.each));
    }
    const bool untouched = image == std::vector<char>(span.bytes, kPoison);
    CHECK(untouched);
    return make.copy_of(host.view);
  }

 private:
  static constexpr char kPoison = '\xff';  // a NaN in f32, bf16 and f16

  static int64_t columns_before(Layout layout) {
    return layout == Layout::dense ? 0 : layout == Layout::odd_slice ? 3 : 8;
  }
  // The memory that a device tensor lies in.
  struct Span {
    int64_t each, before, stride;  // bytes
    char* start;
    size_t bytes;
    Span(const Tensor& t, Layout layout)
        : each(static_cast<int64_t>(size_of(t.dtype))),
          before(columns_before(layout) * each),
          stride(t.row_stride * each),
          start(static_cast<char*>(t.data) - before),
          bytes(static_cast<size_t>(t.rows() * stride)) {}
    int64_t at(int64_t row, int64_t column) const { return before + row * stride + column * each; }
  };
  Tensor room(const Tensor& like, DType dtype, Layout layout) {
    Tensor out = like;
    out.dtype = dtype;
    out.device = Device::cuda;
    out.row_stride = like.cols();
    if (layout == Layout::odd_slice) out.row_stride += 5;
    if (layout == Layout::aligned_slice) out.row_stride = (like.cols() + 7) / 8 * 8 + 16;
    owned_.push_back(allocate(dtype, {like.rows() * out.row_stride}, Device::cuda));
    out.data = static_cast<char*>(owned_.back().view.data) +
               columns_before(layout) * static_cast<int64_t>(size_of(dtype));
    return out;
  }
  static void put(char* to, DType dtype, float value) {
    const uint16_t narrow = narrow_bits(dtype, value);
    dtype == DType::f32 ? std::memcpy(to, &value, 4) : std::memcpy(to, &narrow, 2);
  }
  static float number(const char* from, DType dtype) {
    uint16_t narrow = 0;
    float value = 0.0F;
    dtype == DType::f32 ? std::memcpy(&value, from, 4) : std::memcpy(&narrow, from, 2);
    return dtype == DType::f32 ? value : wide_number(dtype, narrow);
  }

  Context& ctx_;
  std::list<OwnedTensor> owned_;
  Arena arena_{Device::cuda};
};

// Both sides of one check: CPU tensors in f32, rounded to `dtype` first, and their images.
struct Sides {
  Context& ctx;
  DType dtype;
  Layout layout = Layout::dense;
  Tensors make = {};
  GpuTensors on_gpu{ctx};
  Context host{2};

  Tensor normal(std::initializer_list<int64_t> dims, double sigma = 1.0) {
    const Tensor t = make.normal(DType::f32, dims, sigma);
    round_to(dtype, t);
    return t;
  }
  Tensor up(const Tensor& t) { return on_gpu.upload(t, dtype, layout); }
  Tensor dense(const Tensor& t) { return on_gpu.upload(t, dtype); }
  Tensor wide(const Tensor& t) { return on_gpu.upload(t, DType::f32); }
  Tensor poisoned(const Tensor& like) { return on_gpu.poisoned(like, dtype, layout); }
  double off(const Tensor& gpu, const Tensor& cpu) { return off(gpu, cpu, layout); }
  double off(const Tensor& gpu, const Tensor& cpu, Layout lies) {
    return relative_difference(on_gpu.download(make, gpu, lies),
                               cpu.reshape({cpu.rows(), cpu.cols()}));
  }
};

// Runs body(sides, bound) in f32, bf16 and f16, for rows that lie densely, odd and aligned in
// others.
template <class Body>
void on_each(double bound_f32, double bound_bf16, Body&& body) {
  Context* ctx = gpu();
  if (ctx == nullptr) return;
  for (const Layout layout : kLayouts) {
    for (const DType dtype : kDTypes) {
      if (left_out(layout, dtype)) continue;
      CAPTURE(static_cast<int>(layout), name_of(dtype));
      Sides sides{*ctx, dtype, layout};
      body(sides, bound_in(dtype, bound_f32, bound_bf16));
    }
  }
}

}  // namespace temper::test
