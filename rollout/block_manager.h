// Which sequence owns which block of the paged cache: reference counts, sharing of prompts,
// copy-on-write, reservations. It knows block numbers only; the numbers lie in model's KvCache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace temper {

// A copy of a cache block that must happen before the next write to `to`.
struct BlockCopy {
  int32_t from = 0, to = 0;
};

// The blocks of one sequence in order. Token t lies in blocks[t / block_size] at t % block_size.
// Blocks may be shared with other sequences. Given back by BlockManager::release only.
struct BlockList {
  std::vector<int32_t> blocks;
  int64_t length = 0;    // tokens whose slots were handed out
  int64_t reserved = 0;  // blocks that this sequence may still take without asking
};

class BlockManager {
 public:
  BlockManager(int64_t blocks, int64_t block_size);

  int64_t blocks() const { return static_cast<int64_t>(references_.size()); }
  int64_t block_size() const { return block_size_; }
  int64_t used() const { return blocks() - static_cast<int64_t>(free_.size()); }
  // Blocks that are neither in use nor promised to a sequence.
  int64_t available() const { return static_cast<int64_t>(free_.size()) - reserved_; }
  int32_t references(int32_t block) const { return references_[static_cast<size_t>(block)]; }

  // ceil(tokens / block_size).
  int64_t blocks_for(int64_t tokens) const { return (tokens + block_size_ - 1) / block_size_; }
  // Blocks that a sample of `prompt` shared tokens may have to take to hold `length` tokens: all
  // but the prompt's full blocks (the partial last one is copied before it is written).
  int64_t private_blocks(int64_t prompt, int64_t length) const;

  // Promises `count` more blocks to the sequence; false, and nothing changes, if they are not
  // there.
  bool reserve(BlockList& sequence, int64_t count);

  // Hands `count` blocks of the promise to `from` over to `to`.
  void transfer_reservation(BlockList& from, BlockList& to, int64_t count);

  // The slot (block * block_size + offset) of the sequence's next token, whose length grows by one.
  // Takes a block from the reservation at a block's start, and where the last block is shared: then
  // it is replaced by a fresh one and the copy to make is added to `copies`.
  // Throws ContractError if the reservation is used up.
  int32_t append(BlockList& sequence, std::vector<BlockCopy>& copies);

  // `child`, which must be empty, shares all blocks of `parent`; its reservation stays its own.
  void fork(const BlockList& parent, BlockList& child);

  // Gives back all blocks and the reservation; the list is then empty.
  void release(BlockList& sequence);

 private:
  int32_t take(BlockList& sequence);
  void drop(int32_t block);

  int64_t block_size_;
  int64_t reserved_ = 0;  // sum of all sequences' reservations
  std::vector<int32_t> references_;
  std::vector<int32_t> free_;  // the last one is handed out next
};

}  // namespace temper
