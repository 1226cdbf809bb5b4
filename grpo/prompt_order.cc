#include "grpo/prompt_order.h"

#include "data/packing.h"

namespace temper {

std::vector<size_t> PromptOrder::next(int64_t count) {
  std::vector<size_t> out;
  for (int64_t i = 0; i < count; ++i, ++drawn_) {
    const int64_t epoch = drawn_ / prompts_;
    if (epoch != epoch_) {
      epoch_ = epoch;
      order_ = shuffled_order(prompts_, seed_, epoch);
    }
    out.push_back(static_cast<size_t>(order_[static_cast<size_t>(drawn_ % prompts_)]));
  }
  return out;
}

}  // namespace temper
