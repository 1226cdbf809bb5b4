#include "model/ops/linear.h"

#include "model/ops/check.h"
#include "model/ops/cpu/linear.h"
#include "model/ops/cuda/linear.h"

namespace temper {
namespace {

void check_linear(const Tensor& y, const Tensor& x, const Tensor& w) {
  check_alike({y, x, w});
  require(w.rank == 2, "linear: w is not a matrix");
  check_rows_cols(x, x.rows(), w.cols(), "linear: x");
  check_rows_cols(y, x.rows(), w.rows(), "linear: y");
}

void check_bias(const Tensor& y, const Tensor& bias) {
  check_alike({y, bias});
  if (bias.data) check_rows_cols(bias, 1, y.cols(), "linear: bias");
}

void check_grads(const LinearGrads& grads, const PickedRows& dy, const PickedRows& x,
                 const Tensor& w) {
  check_alike({dy.from, grads.dx, grads.dw, grads.dbias});
  if (grads.dx.data) check_rows_cols(grads.dx, x.rows(), x.cols(), "linear: dx");
  if (grads.dw.data) check_rows_cols(grads.dw, w.rows(), w.cols(), "linear: dw");
  if (grads.dbias.data) check_rows_cols(grads.dbias, 1, dy.cols(), "linear: dbias");
}

void check_picked(const PickedRows& rows, const PickedRows& others, int64_t cols,
                  std::string_view name) {
  if (!rows.picked()) return check_rows_cols(rows.from, others.rows(), cols, name);
  check_i32(rows.index, name);
  require(rows.index.contiguous() && rows.rows() == others.rows() && rows.cols() == cols,
          std::string(name) + ": the index has other rows, or the tensor other columns");
}

void check_grouped(const PickedRows& y, const PickedRows& x, const Tensor& w,
                   const Tensor& offsets) {
  check_alike({y.from, x.from, w});
  require(w.rank == 3 && w.contiguous(), "grouped_linear: w is not a contiguous [E, N, K]");
  check_i32(offsets, "grouped_linear: offsets");
  check_shape(offsets, {w.dim(0) + 1}, "grouped_linear: offsets");
  check_picked(x, x, w.dim(2), "grouped_linear: x");
  check_picked(y, x, w.dim(1), "grouped_linear: y");
}

void check_heads(const Tensor& y, const Tensor& x, const Tensor& w) {
  check_alike({y, x, w});
  require(x.rank == 3 && y.rank == 3 && w.rank == 2, "head_linear: x, y [T, H, .], w [H, N*K]");
  require(x.dim(0) == y.dim(0) && x.dim(1) == w.dim(0) && y.dim(1) == w.dim(0),
          "head_linear: tokens or heads differ");
  check_rows_cols(w, w.dim(0), x.cols() * y.cols(), "head_linear: w");
}

}  // namespace

void linear_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor bias) {
  check_linear(y, x, w);
  check_bias(y, bias);
  switch (y.device) {
    case Device::cpu:
      return cpu::linear_forward(ctx, y, x, w, bias);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::linear_forward(ctx, y, x, w, bias);
      no_backend();
  }
}

void linear_add_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor bias) {
  check_linear(y, x, w);
  check_bias(y, bias);
  switch (y.device) {
    case Device::cpu:
      return cpu::linear_add_forward(ctx, y, x, w, bias);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::linear_add_forward(ctx, y, x, w, bias);
      no_backend();
  }
}

void linear_backward(Context& ctx, const LinearGrads& grads, Tensor dy, Tensor x, Tensor w) {
  check_linear(dy, x, w);
  check_grads(grads, dy, x, w);
  switch (dy.device) {
    case Device::cpu:
      return cpu::linear_backward(ctx, grads, dy, x, w);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::linear_backward(ctx, grads, dy, x, w);
      no_backend();
  }
}

void grouped_linear_forward(Context& ctx, Tensor y, const PickedRows& x, Tensor w, Tensor offsets) {
  check_grouped(y, x, w, offsets);
  const ArenaScope scope(ctx.scratch);
  switch (y.device) {
    case Device::cpu:
      return cpu::grouped_linear_forward(ctx, y, laid_out(ctx, x), w, offsets);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::grouped_linear_forward(ctx, y, x, w, offsets);
      no_backend();
  }
}

void grouped_linear_backward(Context& ctx, const LinearGrads& grads, const PickedRows& dy,
                             const PickedRows& x, Tensor w, Tensor offsets) {
  check_grouped(dy, x, w, offsets);
  check_grads(grads, dy, x, w);
  require(grads.dbias.data == nullptr, "grouped_linear: experts have no bias");
  require(grads.dw.data == nullptr || grads.dw.contiguous(), "grouped_linear: dw is strided");
  const ArenaScope scope(ctx.scratch);
  switch (dy.from.device) {
    case Device::cpu:
      return cpu::grouped_linear_backward(ctx, grads, laid_out(ctx, dy), laid_out(ctx, x), w,
                                          offsets);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::grouped_linear_backward(ctx, grads, dy, x, w, offsets);
      no_backend();
  }
}

void head_linear_forward(Context& ctx, Tensor y, Tensor x, Tensor w) {
  check_heads(y, x, w);
  switch (y.device) {
    case Device::cpu:
      return cpu::head_linear_forward(ctx, y, x, w);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::head_linear_forward(ctx, y, x, w);
      no_backend();
  }
}

void head_linear_transposed_forward(Context& ctx, Tensor y, Tensor x, Tensor w) {
  check_heads(y, x, w);
  switch (y.device) {
    case Device::cpu:
      return cpu::head_linear_transposed_forward(ctx, y, x, w);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::head_linear_transposed_forward(ctx, y, x, w);
      no_backend();
  }
}

}  // namespace temper
