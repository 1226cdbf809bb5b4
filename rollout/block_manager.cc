#include "rollout/block_manager.h"

#include "core/error.h"

namespace temper {

BlockManager::BlockManager(int64_t blocks, int64_t block_size)
    : block_size_(block_size), references_(static_cast<size_t>(blocks), 0) {
  require(blocks > 0 && block_size > 0, "a cache has at least one block of one token");
  free_.reserve(references_.size());
  for (int64_t b = blocks; b-- > 0;) free_.push_back(static_cast<int32_t>(b));
}

int64_t BlockManager::private_blocks(int64_t prompt, int64_t length) const {
  return length <= prompt ? 0 : blocks_for(length) - prompt / block_size_;
}

bool BlockManager::reserve(BlockList& sequence, int64_t count) {
  if (count > available()) return false;
  sequence.reserved += count;
  reserved_ += count;
  return true;
}

void BlockManager::transfer_reservation(BlockList& from, BlockList& to, int64_t count) {
  require(count <= from.reserved, "more cache blocks handed over than were reserved");
  from.reserved -= count;
  to.reserved += count;
}

int32_t BlockManager::take(BlockList& sequence) {
  require(sequence.reserved > 0 && !free_.empty(), "a sequence outgrew its reserved cache blocks");
  --sequence.reserved;
  --reserved_;
  const int32_t block = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(block)] = 1;
  return block;
}

void BlockManager::drop(int32_t block) {
  int32_t& count = references_[static_cast<size_t>(block)];
  require(count > 0, "a cache block was given back twice");
  if (--count == 0) free_.push_back(block);
}

int32_t BlockManager::append(BlockList& sequence, std::vector<BlockCopy>& copies) {
  const int64_t offset = sequence.length % block_size_;
  if (offset == 0) {
    sequence.blocks.push_back(take(sequence));
  } else if (references(sequence.blocks.back()) > 1) {
    const int32_t shared = sequence.blocks.back();
    const int32_t fresh = take(sequence);
    drop(shared);
    sequence.blocks.back() = fresh;
    copies.push_back({shared, fresh});
  }
  ++sequence.length;
  return static_cast<int32_t>(sequence.blocks.back() * block_size_ + offset);
}

void BlockManager::fork(const BlockList& parent, BlockList& child) {
  require(child.blocks.empty(), "a fork needs an empty sequence");
  child.blocks.assign(parent.blocks.begin(), parent.blocks.end());
  child.length = parent.length;
  for (const int32_t block : child.blocks) ++references_[static_cast<size_t>(block)];
}

void BlockManager::release(BlockList& sequence) {
  for (const int32_t block : sequence.blocks) drop(block);
  reserved_ -= sequence.reserved;
  sequence.blocks.clear();
  sequence.length = 0;
  sequence.reserved = 0;
}

}  // namespace temper
