// A hash table from 64-bit keys to 64-bit values in one array: made once, read by many threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace temper {

class FlatMap {
 public:
  explicit FlatMap(size_t expected = 0) { rehash(expected); }

  // Sets the value of `key`, which must not be all ones.
  void set(uint64_t key, uint64_t value) {
    if (2 * (count_ + 1) > slots_.size()) rehash(2 * count_ + 2);
    Slot& slot = slots_[index_of(key)];
    if (slot.key == kEmpty) ++count_;
    slot = {key, value};
  }

  // The value of `key`, or nullptr.
  const uint64_t* find(uint64_t key) const {
    const Slot& slot = slots_[index_of(key)];
    return slot.key == kEmpty ? nullptr : &slot.value;
  }

  size_t size() const { return count_; }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  struct Slot {
    uint64_t key = kEmpty, value = 0;
  };

  size_t index_of(uint64_t key) const {
    uint64_t hash = (key ^ (key >> 32)) * 0x9E3779B97F4A7C15u;
    size_t at = static_cast<size_t>(hash >> shift_);
    while (slots_[at].key != kEmpty && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
    return at;
  }

  void rehash(size_t expected) {
    int bits = 4;
    while ((size_t{1} << bits) < 2 * expected + 2) ++bits;
    std::vector<Slot> old(size_t{1} << bits);
    old.swap(slots_);
    shift_ = 64 - bits;
    for (const Slot& slot : old) {
      if (slot.key != kEmpty) slots_[index_of(slot.key)] = slot;
    }
  }

  std::vector<Slot> slots_;
  size_t count_ = 0;
  int shift_ = 60;
};

}  // namespace temper
