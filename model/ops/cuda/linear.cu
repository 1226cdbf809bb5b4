#include "model/ops/cuda/linear.h"

#include <optional>

#include "model/ops/cuda/column_sum.h"
#include "model/ops/cuda/elementwise.h"
#include "model/ops/cuda/gemm.h"
#include "model/ops/cuda/grouped_gemm.h"
#include "model/ops/cuda/kernel.h"
#include "model/ops/cuda/thin_linear_hopper.h"

namespace temper::cuda {
namespace {

template <class Y, class B>
__global__ void bias_kernel(Rows<Y> y, const B* bias) {
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t row = index / y.cols, col = index % y.cols;
  if (row >= y.rows) return;
  Y& element = y.row(row)[col];
  element = from_float<Y>(to_float(element) + to_float(bias[col]));
}

void add_bias(Context& ctx, Tensor y, Tensor bias) {
  if (bias.data == nullptr) return;
  dispatch(y.dtype, [&]<class Y>() {
    dispatch(bias.dtype, [&]<class B>() {
      bias_kernel<<<blocks_for(y.numel(), 256), 256, 0, stream_of(ctx)>>>(rows_of<Y>(y),
                                                                          data_of<B>(bias));
      check_launch();
    });
  });
}

// The tensor itself, or a copy in `dtype`: the two factors of a product are of one dtype.
Tensor as(Context& ctx, Tensor t, DType dtype) {
  if (t.dtype == dtype) return t;
  const Tensor out = ctx.scratch.tensor("linear.as", dtype, {t.rows(), t.cols()});
  cuda::copy(ctx, out, t);
  return out;
}

// What a gradient's product starts from: nothing where it is fresh.
std::optional<Operand> begin_with(const Grad& grad) {
  if (grad.fresh) return std::nullopt;
  return operand(grad);
}

// One head of [T, H, n] as a [T, n] matrix; the batch walks the heads.
Operand heads_operand(const Tensor& t) {
  Operand o = operand(t);
  o.rows = t.dim(0);
  o.stride = t.dim(1) * t.row_stride;
  o.batch_stride = t.row_stride;
  return o;
}
// Row h of `w` [H, rows*cols] as a [rows, cols] matrix.
Operand weights_operand(const Tensor& w, int64_t rows, int64_t cols, bool transposed) {
  Operand o = operand(w, transposed);
  o.rows = rows, o.cols = cols, o.stride = cols;
  o.batch_stride = w.row_stride;
  return o;
}

// c = a b or c += a b, by the kernel for few rows where that can.
void multiply(Context& ctx, const Operand& c, const Operand& a, const Operand& b, bool add,
              int64_t batch = 1) {
  if (thin_linear_hopper(ctx, c, a, b, add, batch)) return;
  gemm(ctx, c, a, b, add ? std::optional(c) : std::nullopt, batch);
}

}  // namespace

void linear_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor bias) {
  if (y.empty()) return;
  multiply(ctx, operand(y), operand(x), operand(w, true), false);
  add_bias(ctx, y, bias);
}

void linear_add_forward(Context& ctx, Tensor y, Tensor x, Tensor w, Tensor bias) {
  if (y.empty()) return;
  multiply(ctx, operand(y), operand(x), operand(w, true), true);
  add_bias(ctx, y, bias);
}

void linear_backward(Context& ctx, const LinearGrads& grads, Tensor dy, Tensor x, Tensor w) {
  if (dy.empty()) {
    for (const Grad& grad : {grads.dx, grads.dw, grads.dbias}) to_add(ctx, grad);
    return;
  }
  ArenaScope scope(ctx.scratch);
  const Tensor narrow = as(ctx, dy, x.dtype);
  if (grads.dx.data != nullptr)
    gemm(ctx, operand(grads.dx), operand(narrow), operand(w), begin_with(grads.dx));
  if (grads.dw.data != nullptr)
    gemm(ctx, operand(grads.dw), operand(narrow, true), operand(x), begin_with(grads.dw));
  if (grads.dbias.data != nullptr) column_sums(ctx, grads.dbias, dy);
}

void grouped_linear_forward(Context& ctx, Tensor y, const PickedRows& x, Tensor w, Tensor offsets) {
  grouped_forward(ctx, y, x, w, offsets);
}

void grouped_linear_backward(Context& ctx, const LinearGrads& grads, const PickedRows& dy,
                             const PickedRows& x, Tensor w, Tensor offsets) {
  if (grads.dx.data != nullptr) grouped_input_grad(ctx, grads.dx, dy, w, offsets);
  if (grads.dw.data != nullptr) grouped_weight_grad(ctx, grads.dw, dy, x, offsets);
}

void head_linear_forward(Context& ctx, Tensor y, Tensor x, Tensor w) {
  if (y.empty()) return;
  multiply(ctx, heads_operand(y), heads_operand(x), weights_operand(w, y.cols(), x.cols(), true),
           false, w.dim(0));
}

void head_linear_transposed_forward(Context& ctx, Tensor y, Tensor x, Tensor w) {
  if (y.empty()) return;
  gemm(ctx, heads_operand(y), heads_operand(x), weights_operand(w, x.cols(), y.cols(), false), {},
       w.dim(0));
}

}  // namespace temper::cuda
