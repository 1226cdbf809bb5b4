// From the rules' reward to what is compared.
#pragma once

#include "grpo/group.h"
#include "grpo/trainer.h"

namespace temper {

// Sets each used sample's total: the reward, the soft overlong punishment (overlong_weight times
// overlong_penalty()), and minus kl_coef times sequence_kl() where the KL is in the reward; for
// that it scores the samples under the policy and the reference. Marks samples that the overlong
// filter takes out of the loss.
void set_totals(const GrpoJob& job, TrainStep& step, std::vector<GrpoGroup>& groups);

}  // namespace temper
