#include "model/training/linear_loss.h"

#include "core/device.h"

namespace temper {

void LinearLoss::add(Context& ctx, std::vector<double> dlogprob, const Tensor& logprob) {
  require(logprob.contiguous() && logprob.numel() == static_cast<int64_t>(dlogprob.size()),
          "a log-probability for each derivative");
  const size_t bytes = dlogprob.size() * size_of(logprob.dtype);
  if (count_ == parts_.size()) parts_.emplace_back();
  Part& part = parts_[count_++];
  if (part.logprob.bytes() < bytes) part.logprob = HostBuffer(bytes, ctx.device);
  part.dlogprob = std::move(dlogprob);
  part.dtype = logprob.dtype;
  queue_copy(ctx, part.logprob.data(), logprob.data, bytes);
  here_.set(ctx);
}

std::vector<double> LinearLoss::take() {
  if (count_ == 0) return {};
  here_.wait();
  std::vector<double> losses;
  for (size_t i = 0; i < count_; ++i) {
    const Part& part = parts_[i];
    for (size_t r = 0; r < part.dlogprob.size(); ++r) {
      const double logprob = part.dtype == DType::f64
                                 ? static_cast<const double*>(part.logprob.data())[r]
                                 : double{static_cast<const float*>(part.logprob.data())[r]};
      losses.push_back(part.dlogprob[r] * logprob);
    }
  }
  count_ = 0;
  return losses;
}

}  // namespace temper
