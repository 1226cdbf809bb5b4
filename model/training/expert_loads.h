// What a step counts about its experts on the device.
#pragma once

#include <vector>

#include "core/context.h"
#include "core/queue.h"
#include "core/tensor.h"

namespace temper {

class ExpertLoads {
 public:
  // Of so many MoE blocks.
  ExpertLoads(Device device, int64_t layers, int64_t experts);

  Tensor counts() const { return counts_.view; }    // [MoE blocks, E] i32
  Tensor balance() const { return balance_.view; }  // [1] f64  the balance loss
  // Counts begin at 0 again.
  void clear(Context& ctx);
  // Queues a copy to the host of what will have been counted by then.
  void send(Context& ctx);

  // How many tokens chose each expert, [MoE block][expert], and the balance loss, as they were when
  // sent last. Wait for the device to have come there.
  std::vector<std::vector<int64_t>> layers();
  double balance_sum();

 private:
  OwnedTensor counts_, balance_;
  HostBuffer host_;  // counts, then the balance loss
  size_t bytes_;     // of the counts, a multiple of 8
  QueueMark here_;
};

}  // namespace temper
