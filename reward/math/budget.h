// Bounds on what one check may cost, in sizes and steps and never in seconds: the same answer gets
// the same verdict on every machine.
#pragma once

#include <cstddef>
#include <cstdint>

namespace temper {

constexpr size_t kMaxAnswerBytes = 2000;  // of a final answer or a gold
constexpr size_t kMaxTokens = 800;
constexpr int kMaxDepth = 60;             // of nesting in an answer
constexpr size_t kMaxItems = 64;          // of a set, list or matrix
constexpr size_t kMaxExactBits = 60'000;  // of a numerator or denominator computed exactly
constexpr int64_t kMaxSteps = 40'000;     // nodes evaluated, weighted by precision

// Counts down while a check works; when it is spent, the check gives up.
class MathBudget {
 public:
  bool spend(int64_t steps) {
    left_ -= steps;
    return left_ > 0;
  }
  bool spent() const { return left_ <= 0; }

  // Notes that two values could be told neither apart nor to be the same.
  void leave_undecided() { undecided_ = true; }
  bool undecided() const { return undecided_; }

 private:
  int64_t left_ = kMaxSteps;
  bool undecided_ = false;
};

}  // namespace temper
