#include "rollout/block_manager.h"

#include <map>

#include "core/error.h"
#include "core/random.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

// A toy cache: what each slot holds, so that sharing and copies can be checked by content.
struct ToyCache {
  explicit ToyCache(const BlockManager& manager)
      : block_size(manager.block_size()),
        slots(static_cast<size_t>(manager.blocks() * manager.block_size()), -1) {}

  void write(BlockManager& manager, BlockList& sequence, int64_t value) {
    std::vector<BlockCopy> copies;
    const int32_t slot = manager.append(sequence, copies);
    for (const BlockCopy& c : copies) {
      for (int64_t o = 0; o < block_size; ++o)
        at(c.to * block_size + o) = at(c.from * block_size + o);
    }
    at(slot) = value;
  }
  int64_t read(const BlockList& sequence, int64_t t) const {
    const int64_t block = sequence.blocks[static_cast<size_t>(t / block_size)];
    return slots[static_cast<size_t>(block * block_size + t % block_size)];
  }
  int64_t& at(int64_t slot) { return slots[static_cast<size_t>(slot)]; }

  int64_t block_size;
  std::vector<int64_t> slots;
};

}  // namespace

TEST_CASE("a prompt's full blocks are shared and its partial block is copied on write") {
  BlockManager manager(16, 4);
  ToyCache cache(manager);
  BlockList prompt, a, b;
  REQUIRE(manager.reserve(prompt, manager.blocks_for(6)));
  for (int64_t t = 0; t < 6; ++t) cache.write(manager, prompt, t);
  REQUIRE(manager.used() == 2);
  REQUIRE(manager.private_blocks(6, 9) == 2);
  REQUIRE(manager.reserve(a, 2));
  REQUIRE(manager.reserve(b, 2));
  manager.fork(prompt, a);
  manager.fork(prompt, b);
  manager.release(prompt);
  CHECK(manager.used() == 2);
  CHECK(manager.references(a.blocks[0]) == 2);

  for (int64_t t = 6; t < 9; ++t) cache.write(manager, a, 100 + t);
  for (int64_t t = 6; t < 9; ++t) cache.write(manager, b, 200 + t);
  CHECK(a.blocks[0] == b.blocks[0]);
  CHECK(a.blocks[1] != b.blocks[1]);
  CHECK(manager.used() == 5);  // b wrote in place: it was the last to hold the partial block
  for (int64_t t = 0; t < 9; ++t) {
    CHECK(cache.read(a, t) == (t < 6 ? t : 100 + t));
    CHECK(cache.read(b, t) == (t < 6 ? t : 200 + t));
  }
  manager.release(a);
  manager.release(b);
  CHECK(manager.used() == 0);
  CHECK(manager.available() == 16);
}

TEST_CASE("reservations keep blocks for those they were promised to") {
  BlockManager manager(4, 2);
  BlockList a, b;
  REQUIRE(manager.reserve(a, 3));
  CHECK_FALSE(manager.reserve(b, 2));
  CHECK(manager.available() == 1);
  CHECK(b.reserved == 0);
  REQUIRE(manager.reserve(b, 1));
  std::vector<BlockCopy> copies;
  manager.append(b, copies);
  manager.append(b, copies);
  CHECK_THROWS_AS(manager.append(b, copies), ContractError);
  manager.release(a);
  CHECK(manager.available() == 3);
  manager.release(b);
  CHECK(manager.available() == 4);
}

TEST_CASE("random operations never leak, lose or mix up blocks") {
  Random random(7, RandomStream::data);
  for (int round = 0; round < 20; ++round) {
    const int64_t block_size = 1 + random.below(5);
    BlockManager manager(24, block_size);
    ToyCache cache(manager);
    std::vector<BlockList> live;
    std::vector<std::vector<int64_t>> want;  // what each live sequence must hold
    int64_t stamp = 0;
    for (int step = 0; step < 2000; ++step) {
      const uint32_t action = random.below(10);
      const size_t pick = live.empty() ? 0 : random.below(static_cast<uint32_t>(live.size()));
      if (action == 0) {
        live.emplace_back();
        want.emplace_back();
      } else if (live.empty()) {
        continue;
      } else if (action == 1) {
        BlockList child;
        manager.fork(live[pick], child);
        live.push_back(child);
        want.push_back(want[pick]);
      } else if (action == 2) {
        manager.release(live[pick]);
        live.erase(live.begin() + static_cast<int64_t>(pick));
        want.erase(want.begin() + static_cast<int64_t>(pick));
      } else if (live[pick].reserved > 0 || manager.reserve(live[pick], 1)) {
        cache.write(manager, live[pick], ++stamp);
        want[pick].push_back(stamp);
      }
      std::map<int32_t, int32_t> held;
      int64_t reserved = 0;
      for (const BlockList& s : live) {
        for (const int32_t b : s.blocks) ++held[b];
        reserved += s.reserved;
      }
      REQUIRE(manager.used() == static_cast<int64_t>(held.size()));
      REQUIRE(manager.available() == 24 - manager.used() - reserved);
      for (const auto& [block, count] : held) REQUIRE(manager.references(block) == count);
    }
    for (size_t s = 0; s < live.size(); ++s) {
      REQUIRE(live[s].length == static_cast<int64_t>(want[s].size()));
      for (size_t t = 0; t < want[s].size(); ++t) {
        REQUIRE(cache.read(live[s], static_cast<int64_t>(t)) == want[s][t]);
      }
      manager.release(live[s]);
    }
    REQUIRE(manager.available() == 24);
  }
}
