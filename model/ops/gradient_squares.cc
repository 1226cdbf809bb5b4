#include "model/ops/gradient_squares.h"

#include <algorithm>

#include "core/device.h"
#include "model/ops/check.h"
#include "model/ops/cuda/sum_pieces.h"
#include "model/ops/elementwise.h"

namespace temper {

void GradientSquares::forget() {
  known_.clear();
  arena_.reset();
}

Tensor GradientSquares::leave(const Tensor& gradient, int64_t count) {
  known_.push_back({gradient, arena_.tensor("gradient.squares", DType::f32, {count})});
  return known_.back().sums;
}

double sum_of_squares(Context& ctx, const Tensor& flat, const GradientSquares& squares) {
  if (squares.known().empty()) return sum_of_squares(ctx, flat);
  require(flat.device == Device::cuda && flat.dtype == DType::f32 && flat.contiguous(),
          "squares are left of f32 gradients on a GPU alone");
  if constexpr (kWithCuda) {
    std::vector<GradientSquares::Known> known = squares.known();
    std::sort(known.begin(), known.end(),
              [](const auto& a, const auto& b) { return a.gradient.data < b.gradient.data; });
    const auto* all = static_cast<const float*>(flat.data);
    std::vector<cuda::Piece> pieces;  // what lies between the known ones, and their sums
    int64_t begin = 0;
    const auto up_to = [&](int64_t end) {
      require(end >= begin && end <= flat.numel(), "the squares of a gradient are known once");
      if (end > begin) pieces.push_back({all + begin, end - begin, true});
    };
    for (const auto& [gradient, sums] : known) {
      const int64_t at = static_cast<const float*>(gradient.data) - all;
      up_to(at);
      pieces.push_back({static_cast<const float*>(sums.data), sums.numel(), false});
      begin = at + gradient.numel();
    }
    up_to(flat.numel());
    return cuda::sum_pieces(ctx, pieces);
  }
  no_backend();
}

}  // namespace temper
