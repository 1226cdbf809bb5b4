#include "model/ops/elementwise.h"

#include "model/ops/check.h"
#include "model/ops/cpu/elementwise.h"
#include "model/ops/cuda/elementwise.h"

namespace temper {

void fill_zero(Context& ctx, Tensor y) {
  switch (y.device) {
    case Device::cpu:
      return cpu::fill_zero(ctx, y);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::fill_zero(ctx, y);
      no_backend();
  }
}

void copy(Context& ctx, Tensor y, Tensor x) {
  check_rows_cols(y, x.rows(), x.cols(), "copy: y");
  require(y.device == x.device, "copy: the tensors lie on different devices");
  switch (y.device) {
    case Device::cpu:
      return cpu::copy(ctx, y, x);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::copy(ctx, y, x);
      no_backend();
  }
}

void add(Context& ctx, Tensor y, Tensor x) {
  add(ctx, y, y, x);
}

void add(Context& ctx, Tensor out, Tensor a, Tensor b) {
  check_alike({out, a, b});
  check_rows_cols(a, out.rows(), out.cols(), "add: a");
  check_rows_cols(b, out.rows(), out.cols(), "add: b");
  switch (out.device) {
    case Device::cpu:
      return cpu::add(ctx, out, a, b);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::add(ctx, out, a, b);
      no_backend();
  }
}

void scale(Context& ctx, Tensor y, double factor) {
  switch (y.device) {
    case Device::cpu:
      return cpu::scale(ctx, y, factor);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::scale(ctx, y, factor);
      no_backend();
  }
}

double sum_of_squares(Context& ctx, Tensor x) {
  switch (x.device) {
    case Device::cpu:
      return cpu::sum_of_squares(ctx, x);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::sum_of_squares(ctx, x);
  }
  no_backend();
}

}  // namespace temper
