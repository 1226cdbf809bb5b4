// Byte-pair encoding of one piece of text, over bytes or over characters.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/flat_map.h"

namespace temper {

// A token of a piece: its id and how many bytes of the piece it covers.
struct BpeToken {
  int32_t id;
  uint32_t length;
};

// What a `Bpe` is made of. Token texts are raw bytes (byte level) or characters.
struct BpeModel {
  std::vector<std::string> tokens;                  // by id; "" where an id is not used
  std::vector<std::pair<int32_t, int32_t>> merges;  // by rank, the first merged first
  std::vector<int32_t> merged;                      // what each merge makes
  bool byte_level = true;
  bool byte_fallback = false;  // characters not in the vocabulary become <0x..> tokens
  bool ignore_merges = false;  // a piece that is a token as a whole is not merged step by step
  bool fuse_unk = false;       // neighbouring unknown characters make one unknown token
  int32_t unk_id = -1;         // -1: unknown characters are dropped
  std::vector<bool> usable;    // by id: may be found by text; empty: all
};

// Applies merges: of all neighbours that a merge joins, the one of the lowest rank, the leftmost
// first, until none is left. Source: Sennrich et al. 2016, in the order of Hugging Face tokenizers.
// Immutable but for a cache under locks: any number of threads may encode at once.
class Bpe {
 public:
  explicit Bpe(BpeModel model);
  ~Bpe();
  Bpe(Bpe&&) noexcept;
  Bpe& operator=(Bpe&&) noexcept;

  // Appends the tokens of `piece` (valid UTF-8, not empty) to `out`.
  void encode(std::string_view piece, std::vector<BpeToken>& out) const;

 private:
  struct Cache;

  void find_byte_tokens();
  void units_of(std::string_view piece, std::vector<BpeToken>& units) const;
  void add_character(std::string_view character, std::vector<BpeToken>& units) const;
  void merge_short(std::vector<BpeToken>& symbols) const;
  void merge_long(std::vector<BpeToken>& symbols) const;
  const uint64_t* merge_of(int32_t left, int32_t right) const {
    return merges_.find((uint64_t{static_cast<uint32_t>(left)} << 32) |
                        static_cast<uint32_t>(right));
  }

  BpeModel model_;
  FlatMap merges_;                                // (left, right) -> (rank, merged)
  std::unordered_map<std::string, int32_t> ids_;  // empty where encoding never looks texts up
  std::vector<int32_t> byte_ids_;                 // the 256 tokens of single bytes; -1 where none
  std::unique_ptr<Cache> cache_;
};

}  // namespace temper
