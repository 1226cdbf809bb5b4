// The value of a loss whose derivative was known before the log-probabilities were.
#pragma once

#include <vector>

#include "core/context.h"
#include "core/queue.h"
#include "core/tensor.h"

namespace temper {

// The log-probabilities of micro-batches, on their way to the host while the device goes on.
class LinearLoss {
 public:
  explicit LinearLoss(Device device) : here_(device) {}

  // Queues a copy of a micro-batch's. Shapes: dlogprob [R]; logprob [R], which may be written again
  // by what is queued behind this.
  void add(Context& ctx, std::vector<double> dlogprob, const Tensor& logprob);
  // dlogprob * logprob of every token, micro-batch after micro-batch; waits for the last of them
  // and for nothing behind it. Then there are none.
  std::vector<double> take();

 private:
  struct Part {
    std::vector<double> dlogprob;  // [R]
    DType dtype;
    HostBuffer logprob;  // [R]
  };
  std::vector<Part> parts_;
  size_t count_ = 0;  // of parts in use; the buffers of the others are kept
  QueueMark here_;
};

}  // namespace temper
