#include "model/ops/sample.h"

#include <bit>

#include "model/ops/check.h"
#include "model/ops/cpu/sample.h"
#include "model/ops/cuda/sample.h"

namespace temper {

int64_t append_kept(std::span<const int32_t> words, std::vector<int32_t>& ids) {
  const size_t before = ids.size();
  for (size_t w = 0; w < words.size(); ++w)
    for (auto bits = static_cast<uint32_t>(words[w]); bits != 0; bits &= bits - 1)
      ids.push_back(static_cast<int32_t>(w * 32) + std::countr_zero(bits));
  return static_cast<int64_t>(ids.size() - before);
}

void sample(Context& ctx, const SampleOutputs& out, Tensor logits, const SampleDraws& draws) {
  const int64_t count = draws.row.numel();
  check_i32(draws.row, "sample: row");
  check_i32(out.token, "sample: token");
  require(logits.rank == 2 && logits.cols() > 0, "sample: logits are not [M, V]");
  require(draws.uniform.dtype == DType::f64 && draws.rules.dtype == DType::f64 &&
              out.numbers.dtype == DType::f64,
          "sample: numbers are f64");
  check_shape(draws.uniform, {count}, "sample: uniform");
  check_shape(draws.rules, {count, kRuleColumns}, "sample: rules");
  check_shape(out.token, {count}, "sample: token");
  check_shape(out.numbers, {count, kNumberColumns}, "sample: numbers");
  if (!out.kept.empty()) {
    check_i32(out.kept, "sample: kept");
    check_shape(out.kept, {count, kept_words(logits.cols())}, "sample: kept");
  }
  switch (logits.device) {
    case Device::cpu:
      return cpu::sample(ctx, out, logits, draws);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::sample(ctx, out, logits, draws);
      no_backend();
  }
}

void follow_draws(Context& ctx, Tensor ids, Tensor tokens) {
  check_i32(ids, "follow_draws: ids");
  check_i32(tokens, "follow_draws: tokens");
  switch (ids.device) {
    case Device::cpu:
      return cpu::follow_draws(ids, tokens);
    case Device::cuda:
      if constexpr (kWithCuda) return cuda::follow_draws(ctx, ids, tokens);
      no_backend();
  }
}

}  // namespace temper
