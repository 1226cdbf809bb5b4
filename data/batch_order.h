// Which samples each step trains on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "data/packing.h"

namespace temper {

// The epochs' permutations cut into batches; the last batch of an epoch may be smaller. Depends on
// (samples, batch, seed) alone.
class BatchOrder {
 public:
  BatchOrder(int64_t samples, int64_t batch, int64_t seed)
      : samples_(samples),
        batch_(batch),
        seed_(static_cast<uint64_t>(seed)),
        per_epoch_((samples + batch_ - 1) / batch_) {}

  int64_t steps_per_epoch() const { return per_epoch_; }

  // The samples of step 0, 1, ...
  std::vector<int64_t> batch(int64_t step) {
    const int64_t epoch = step / per_epoch_, index = step % per_epoch_;
    if (epoch != epoch_) order_ = shuffled_order(samples_, seed_, epoch), epoch_ = epoch;
    const int64_t begin = index * batch_, end = std::min(begin + batch_, samples_);
    return {order_.begin() + begin, order_.begin() + end};
  }

 private:
  int64_t samples_, batch_;
  uint64_t seed_;
  int64_t per_epoch_, epoch_ = -1;
  std::vector<int64_t> order_;
};

}  // namespace temper
