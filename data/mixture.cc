#include "data/mixture.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "core/error.h"
#include "data/packing.h"

namespace temper {
namespace {

// Permutations of parts are keyed apart from those of whole epochs.
int64_t part_epoch(size_t part, int64_t pass) {
  return (static_cast<int64_t>(part + 1) << 24) + pass;
}

WeightedFile parse_one(const std::string& text, const std::string& where) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || std::filesystem::exists(text)) return {text};
  const std::string number = text.substr(colon + 1);
  char* end = nullptr;
  const double weight = std::strtod(number.c_str(), &end);
  if (number.empty() || *end != '\0') return {text};  // a name with a colon: opening it will tell
  if (!(weight > 0.0) || !std::isfinite(weight))
    throw UserError({.what = "the weight of a data file is not above 0",
                     .where = where + " " + text,
                     .expected = "FILE:WEIGHT, for instance train.jsonl:0.7",
                     .found = number});
  return {text.substr(0, colon), weight};
}

}  // namespace

std::vector<WeightedFile> parse_weighted_files(const std::vector<std::string>& texts,
                                               const std::string& where) {
  std::vector<WeightedFile> files;
  for (const std::string& text : texts) files.push_back(parse_one(text, where));
  const auto weighted = std::count_if(files.begin(), files.end(),
                                      [](const WeightedFile& f) { return f.weight > 0.0; });
  if (weighted != 0 && weighted != static_cast<int64_t>(files.size()))
    throw UserError({.what = "some data files have a weight and some have none",
                     .where = where,
                     .hint = "give every file a weight (FILE:WEIGHT), or none"});
  return files;
}

Mixture::Mixture(std::vector<MixturePart> parts, uint64_t seed)
    : parts_(std::move(parts)), seed_(seed) {
  double weights = 0.0;
  for (const MixturePart& part : parts_) {
    size_ += part.count;
    weights += part.weight;
    shares_.push_back(part.count);
  }
  weighted_ = weights > 0.0;
  if (!weighted_) return;
  std::vector<std::pair<double, size_t>> remainders;
  int64_t given = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    require(parts_[i].count > 0 && parts_[i].weight > 0.0, "a part with samples and a weight");
    const double share = static_cast<double>(size_) * parts_[i].weight / weights;
    shares_[i] = static_cast<int64_t>(share);
    given += shares_[i];
    remainders.emplace_back(static_cast<double>(shares_[i]) - share, i);  // most negative first
  }
  std::sort(remainders.begin(), remainders.end());
  for (size_t r = 0; given < size_; ++r, ++given) ++shares_[remainders[r % parts_.size()].second];
}

std::vector<int64_t> Mixture::epoch(int64_t epoch) const {
  const std::vector<int64_t> order = shuffled_order(size_, seed_, epoch);
  if (!weighted_) return order;
  std::vector<int64_t> chosen;
  int64_t begin = 0;
  for (size_t i = 0; i < parts_.size(); begin += parts_[i].count, ++i) {
    const int64_t count = parts_[i].count;
    int64_t pass = -1;
    std::vector<int64_t> permutation;
    for (int64_t at = epoch * shares_[i]; at < (epoch + 1) * shares_[i]; ++at) {
      if (at / count != pass) {
        pass = at / count;
        permutation = shuffled_order(count, seed_, part_epoch(i, pass));
      }
      chosen.push_back(begin + permutation[static_cast<size_t>(at % count)]);
    }
  }
  std::vector<int64_t> out;
  for (const int64_t place : order) out.push_back(chosen[static_cast<size_t>(place)]);
  return out;
}

}  // namespace temper
