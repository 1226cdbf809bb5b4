// Advantages of a group of samples of one prompt.
#pragma once

#include <span>
#include <vector>

namespace temper {

// A_i = (r_i - mean(r)) / (std(r) + 1e-6), std with n-1; all 0 if the rewards are all equal.
// Source: DeepSeekMath (arXiv 2402.03300) section 4.1.2; n-1 and 1e-6 as verl has them.
std::vector<double> group_advantages(std::span<const double> rewards);

// Whether the group teaches nothing: all rewards equal.
bool is_zero_signal(std::span<const double> rewards);

}  // namespace temper
