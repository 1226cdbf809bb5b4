// Where a backward op puts a gradient.
#pragma once

#include "core/context.h"
#include "model/ops/elementwise.h"

namespace temper {

class GradientSquares;  // model/ops/gradient_squares.h

// The one rule of backward: it adds into its gradients. A fresh gradient has no value yet, whatever
// lies in its memory: the first op that gets to it writes it, all of it, and also where there is
// not one row to sum over. (docs/decisions/0010-fresh-gradients.md)
struct Grad : Tensor {
  bool fresh = false;
  // Where the op that writes a fresh gradient of weights may leave its squares, if any.
  GradientSquares* squares = nullptr;

  Grad() = default;
  Grad(const Tensor& to, bool is_fresh = false, GradientSquares* known = nullptr)
      : Tensor(to), fresh(is_fresh), squares(known) {}

  // The same gradient for the ops after the first one.
  Grad written() const { return {*this, false}; }
};

// `to` as a gradient without a value: the next op writes it.
inline Grad fresh(const Tensor& to) {
  return {to, true};
}

// A fresh gradient becomes zeros, for code that can only add.
inline Grad to_add(Context& ctx, const Grad& grad) {
  if (grad.fresh) fill_zero(ctx, grad);
  return grad.written();
}

}  // namespace temper
