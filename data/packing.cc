#include "data/packing.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "core/random.h"

namespace temper {

std::vector<std::vector<size_t>> pack_best_fit(std::span<const int64_t> lengths, int64_t capacity) {
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });
  std::vector<std::vector<size_t>> bins;
  std::set<std::pair<int64_t, size_t>> room;  // (tokens left, bin), the fullest bin first
  for (size_t index : order) {
    const int64_t length = lengths[index];
    const auto fits = room.lower_bound({length, 0});
    if (fits == room.end()) {
      bins.push_back({index});
      if (length < capacity) room.insert({capacity - length, bins.size() - 1});
      continue;
    }
    const auto [left, bin] = *fits;
    room.erase(fits);
    bins[bin].push_back(index);
    if (left > length) room.insert({left - length, bin});
  }
  for (std::vector<size_t>& bin : bins) std::sort(bin.begin(), bin.end());
  return bins;
}

std::vector<int64_t> shuffled_order(int64_t n, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  Random random(seed, RandomStream::shuffle, static_cast<uint32_t>(epoch));
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[random.below(static_cast<uint32_t>(i))]);
  return order;
}

}  // namespace temper
