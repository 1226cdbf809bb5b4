// Several data files in given proportions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace temper {

// "train.jsonl" or "train.jsonl:0.7": a file and the weight it is given; 0 without one.
struct WeightedFile {
  std::string path;
  double weight = 0.0;
};

// Reads both forms; a file whose whole name exists is taken as it stands. Throws UserError naming
// `where` for a weight that is not above 0, and if some files have a weight and some have none.
std::vector<WeightedFile> parse_weighted_files(const std::vector<std::string>& texts,
                                               const std::string& where);

// The samples of one file among all, which stand one file after another.
struct MixturePart {
  int64_t count = 0;
  double weight = 0.0;
};

// In which order samples are visited, epoch by epoch. A function of (parts, seed, epoch) alone.
// Without weights an epoch is a permutation of all samples. With weights it has as many samples,
// shared out by weight (largest remainders): each part goes on through its own permutations, so
// that a part that is short of samples comes again and one that is rich rests a part of them.
class Mixture {
 public:
  Mixture(std::vector<MixturePart> parts, uint64_t seed);

  int64_t size() const { return size_; }  // samples of an epoch
  // Of each part's samples, how many an epoch visits.
  const std::vector<int64_t>& shares() const { return shares_; }
  // The samples of the epoch in order, as places among all samples.
  std::vector<int64_t> epoch(int64_t epoch) const;

 private:
  std::vector<MixturePart> parts_;
  std::vector<int64_t> shares_;
  uint64_t seed_;
  int64_t size_ = 0;
  bool weighted_ = false;
};

}  // namespace temper
