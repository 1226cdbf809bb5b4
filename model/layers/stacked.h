// Weights that lie one behind another in memory, so that one product does for both.
#pragma once

#include "core/tensor.h"

namespace temper {

// `below` under `above` as one matrix [Na + Nb, K], or behind it as one vector [Na + Nb]; empty
// where it does not lie right behind it.
inline Tensor stacked(const Tensor& above, const Tensor& below) {
  const size_t bytes = static_cast<size_t>(above.numel()) * size_of(above.dtype);
  const bool behind = !above.empty() && above.contiguous() && below.contiguous() &&
                      static_cast<char*>(above.data) + bytes == below.data &&
                      above.dtype == below.dtype && above.rank == below.rank;
  if (!behind) return {};
  if (above.rank == 1)
    return make_tensor(above.data, above.dtype, {above.numel() + below.numel()}, above.device);
  if (above.cols() != below.cols()) return {};
  return make_tensor(above.data, above.dtype, {above.rows() + below.rows(), above.cols()},
                     above.device);
}

}  // namespace temper
