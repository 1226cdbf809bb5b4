#include "model/ops/cpu/halves.h"

#include "core/float_halves.h"
#include "model/ops/cpu/parallel.h"

namespace temper::cpu {

void split_halves(Context& ctx, const Tensor& high, const Tensor& low, const Tensor& x) {
  auto *h = static_cast<uint16_t*>(high.data), *l = static_cast<uint16_t*>(low.data);
  const float* from = x.get<float>();
  const bool f16 = high.dtype == DType::f16;
  parallel_rows(ctx, x.numel(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const FloatHalves halves = f16 ? split_float_f16(from[i]) : split_float(from[i]);
      h[i] = halves.high, l[i] = halves.low;
    }
  });
}

void join_halves(Context& ctx, const Tensor& x, const Tensor& high, const Tensor& low) {
  const auto *h = static_cast<const uint16_t*>(high.data), *l = static_cast<uint16_t*>(low.data);
  float* to = x.get<float>();
  const bool f16 = high.dtype == DType::f16;
  parallel_rows(ctx, x.numel(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      to[i] = f16 ? join_float_f16({h[i], l[i]}) : join_float({h[i], l[i]});
  });
}

}  // namespace temper::cpu
