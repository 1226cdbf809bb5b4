// In which order a run visits its prompts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace temper {

// Permutations of 0 .. n-1, one after another, each keyed by (seed, epoch). Where it stands is one
// number, so that a resumed run goes on with the same prompts.
class PromptOrder {
 public:
  PromptOrder(size_t prompts, uint64_t seed, int64_t drawn = 0)
      : prompts_(static_cast<int64_t>(prompts)), seed_(seed), drawn_(drawn) {}

  // The next `count` prompts.
  std::vector<size_t> next(int64_t count);
  int64_t drawn() const { return drawn_; }

 private:
  int64_t prompts_;
  uint64_t seed_;
  int64_t drawn_;
  int64_t epoch_ = -1;
  std::vector<int64_t> order_;
};

}  // namespace temper
