#include "model/ops/swiglu.h"

#include "model/ops/check.h"
#include "model/ops/cpu/swiglu.h"
#include "model/ops/cuda/swiglu.h"

namespace temper {

void swiglu_forward(Context& ctx, Tensor y, Tensor gate, Tensor up) {
  check_alike({y, gate, up});
  check_rows_cols(gate, y.rows(), y.cols(), "swiglu: gate");
  check_rows_cols(up, y.rows(), y.cols(), "swiglu: up");
  switch (y.device) {
    case Device::cpu:
      return cpu::swiglu_forward(ctx, y, gate, up);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::swiglu_forward(ctx, y, gate, up);
      no_backend();
  }
}

void swiglu_backward(Context& ctx, Tensor dgate, Tensor dup, Tensor dy, Tensor gate, Tensor up) {
  check_alike({dy, dgate, dup, gate, up});
  for (const Tensor& t : {dgate, dup, gate, up})
    check_rows_cols(t, dy.rows(), dy.cols(), "swiglu: a tensor of backward");
  switch (dy.device) {
    case Device::cpu:
      return cpu::swiglu_backward(ctx, dgate, dup, dy, gate, up);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::swiglu_backward(ctx, dgate, dup, dy, gate, up);
      no_backend();
  }
}

}  // namespace temper
