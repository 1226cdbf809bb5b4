#include "model/ops/keep_logits.h"

#include "model/ops/check.h"
#include "model/ops/cpu/keep_logits.h"
#include "model/ops/cuda/keep_logits.h"

namespace temper {

void keep_logits(Context& ctx, Tensor logits, Tensor begin, Tensor ids) {
  check_i32(begin, "keep_logits: begin");
  check_shape(begin, {logits.rows() + 1}, "keep_logits: begin");
  if (!ids.empty()) check_i32(ids, "keep_logits: ids");
  switch (logits.device) {
    case Device::cpu:
      return cpu::keep_logits(ctx, logits, begin, ids);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::keep_logits(ctx, logits, begin, ids);
      no_backend();
  }
}

}  // namespace temper
