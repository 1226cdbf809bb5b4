#include "model/ops/cuda/following.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/rope.h"

namespace temper::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kMostPairs = 256;

// Passed by value: the table needs no copy of its own.
struct Frequencies {
  double inv_freq[kMostPairs];
};

__global__ void tables_kernel(float* cos_table, float* sin_table, const int32_t* positions,
                              Frequencies frequencies, double factor, int64_t rows, int64_t pairs) {
  follow();
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= rows * pairs) return;
  double s = 0.0, c = 0.0;
  sincos(positions[index / pairs] * frequencies.inv_freq[index % pairs], &s, &c);
  cos_table[index] = static_cast<float>(factor * c);
  sin_table[index] = static_cast<float>(factor * s);
}

// `direction` is 1 forward and -1 on the way back. Row r of x belongs to token r / heads.
template <class T>
__global__ void rotate_kernel(Rows<T> x, Rows<float> cos_table, Rows<float> sin_table,
                              int64_t heads, bool interleaved, float direction) {
  const int64_t pairs = x.cols / 2, index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t row = index / pairs, j = index % pairs;
  if (row >= x.rows) return;
  T* data = x.row(row);
  T& first = data[interleaved ? 2 * j : j];
  T& second = data[interleaved ? 2 * j + 1 : j + pairs];
  const float c = cos_table.row(row / heads)[j], s = direction * sin_table.row(row / heads)[j];
  const float a = to_float(first), b = to_float(second);
  first = from_float<T>(a * c - b * s);
  second = from_float<T>(a * s + b * c);
}

void rotate(Context& ctx, Tensor x, Tensor cos, Tensor sin, RopeStyle style, float direction) {
  if (x.empty()) return;
  const int64_t heads = x.rows() / cos.rows();
  dispatch(x.dtype, [&]<class T>() {
    rotate_kernel<<<blocks_for(x.numel() / 2, kThreads), kThreads, 0, stream_of(ctx)>>>(
        rows_of<T>(x), rows_of<float>(cos), rows_of<float>(sin), heads,
        style == RopeStyle::interleaved, direction);
    check_launch();
  });
}

}  // namespace

void rope_tables(Context& ctx, Tensor cos, Tensor sin, Tensor positions,
                 const RopeFrequencies& frequencies) {
  if (cos.empty()) return;
  const int64_t pairs = cos.cols();
  require(pairs <= kMostPairs, "rope: more than 512 rotary dimensions");
  require(cos.contiguous() && sin.contiguous(), "rope: the tables are strided");
  Frequencies values{};
  for (int64_t j = 0; j < pairs; ++j)
    values.inv_freq[j] = frequencies.inv_freq[static_cast<size_t>(j)];
  launch_following(ctx, tables_kernel, {blocks_for(cos.numel(), kThreads), kThreads},
                   data_of<float>(cos), data_of<float>(sin), data_of<int32_t>(positions), values,
                   frequencies.attention_factor, cos.rows(), pairs);
}

void rope_forward(Context& ctx, Tensor x, Tensor cos, Tensor sin, RopeStyle style) {
  rotate(ctx, x, cos, sin, style, 1.0F);
}

void rope_backward(Context& ctx, Tensor dx, Tensor cos, Tensor sin, RopeStyle style) {
  rotate(ctx, dx, cos, sin, style, -1.0F);
}

}  // namespace temper::cuda
