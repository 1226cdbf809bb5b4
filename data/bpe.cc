#include "data/bpe.h"

#include <array>
#include <cstdio>
#include <functional>
#include <mutex>
#include <queue>

#include "core/error.h"
#include "core/utf8.h"

namespace temper {
namespace {

constexpr size_t kShortPiece = 24;       // up to here a scan for the best pair beats a heap
constexpr size_t kLongestCached = 48;    // bytes of a piece
constexpr size_t kCacheShards = 16;      // locks
constexpr size_t kSlotsPerShard = 2048;  // pieces; one that hashes alike replaces the old one

uint32_t rank_of(uint64_t merge) {
  return static_cast<uint32_t>(merge >> 32);
}
int32_t merged_of(uint64_t merge) {
  return static_cast<int32_t>(merge & 0xFFFFFFFF);
}

}  // namespace

// Tokens of recent pieces. Direct-mapped, so its size is bounded.
struct Bpe::Cache {
  struct Slot {
    std::string piece;
    std::vector<BpeToken> tokens;
  };
  struct Shard {
    std::mutex mutex;
    std::vector<Slot> slots = std::vector<Slot>(kSlotsPerShard);
  };
  std::array<Shard, kCacheShards> shards;

  static size_t hash(std::string_view piece) { return std::hash<std::string_view>()(piece); }
  bool find(std::string_view piece, size_t hash, std::vector<BpeToken>& out) {
    Shard& shard = shards[hash % kCacheShards];
    const std::lock_guard lock(shard.mutex);
    const Slot& slot = shard.slots[hash / kCacheShards % kSlotsPerShard];
    if (slot.piece != piece) return false;
    out.insert(out.end(), slot.tokens.begin(), slot.tokens.end());
    return true;
  }
  void store(std::string_view piece, size_t hash, const BpeToken* tokens, size_t count) {
    Shard& shard = shards[hash % kCacheShards];
    const std::lock_guard lock(shard.mutex);
    Slot& slot = shard.slots[hash / kCacheShards % kSlotsPerShard];
    slot.piece = piece;
    slot.tokens.assign(tokens, tokens + count);
  }
};

Bpe::Bpe(BpeModel model)
    : model_(std::move(model)),
      merges_(model_.merges.size()),
      byte_ids_(256, -1),
      cache_(std::make_unique<Cache>()) {
  require(model_.merges.size() == model_.merged.size(), "a merge without its result");
  for (size_t rank = 0; rank < model_.merges.size(); ++rank) {
    const auto [left, right] = model_.merges[rank];
    merges_.set((uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right),
                (uint64_t{rank} << 32) | static_cast<uint32_t>(model_.merged[rank]));
  }
  const bool look_up = !model_.byte_level || model_.ignore_merges;
  if (look_up) ids_.reserve(model_.tokens.size());
  for (size_t id = 0; id < model_.tokens.size(); ++id) {
    const std::string& token = model_.tokens[id];
    if (token.empty() || (!model_.usable.empty() && !model_.usable[id])) continue;
    if (look_up) ids_.emplace(token, static_cast<int32_t>(id));
    if (model_.byte_level && token.size() == 1) {
      byte_ids_[static_cast<unsigned char>(token[0])] = static_cast<int32_t>(id);
    }
  }
  if (!model_.byte_level && model_.byte_fallback) find_byte_tokens();
  model_.tokens = {};  // only the tables made of them are needed from here on
  model_.merges = {};
  model_.merged = {};
  model_.usable = {};
}

void Bpe::find_byte_tokens() {
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", byte);
    const auto found = ids_.find(name);
    if (found != ids_.end()) byte_ids_[static_cast<size_t>(byte)] = found->second;
  }
}

Bpe::~Bpe() = default;
Bpe::Bpe(Bpe&&) noexcept = default;
Bpe& Bpe::operator=(Bpe&&) noexcept = default;

void Bpe::encode(std::string_view piece, std::vector<BpeToken>& out) const {
  const bool cached = piece.size() > 1 && piece.size() <= kLongestCached;
  const size_t hash = cached ? Cache::hash(piece) : 0;
  if (cached && cache_->find(piece, hash, out)) return;
  std::vector<BpeToken> symbols;
  const auto whole = model_.ignore_merges ? ids_.find(std::string(piece)) : ids_.end();
  if (model_.ignore_merges && whole != ids_.end()) {
    symbols.push_back({whole->second, static_cast<uint32_t>(piece.size())});
  } else {
    units_of(piece, symbols);
    if (symbols.size() > kShortPiece) {
      merge_long(symbols);
    } else {
      merge_short(symbols);
    }
  }
  if (cached) cache_->store(piece, hash, symbols.data(), symbols.size());
  out.insert(out.end(), symbols.begin(), symbols.end());
}

void Bpe::units_of(std::string_view piece, std::vector<BpeToken>& units) const {
  units.reserve(piece.size());
  if (model_.byte_level) {
    for (const char byte : piece) {
      const int32_t id = byte_ids_[static_cast<unsigned char>(byte)];
      if (id >= 0) {
        units.push_back({id, 1});
      } else if (model_.unk_id >= 0) {
        units.push_back({model_.unk_id, 1});
      }
    }
    return;
  }
  for (size_t at = 0; at < piece.size();) {
    const uint32_t length = read_utf8(piece, at).length;
    add_character(piece.substr(at, length), units);
    at += length;
  }
}

void Bpe::add_character(std::string_view character, std::vector<BpeToken>& units) const {
  const auto length = static_cast<uint32_t>(character.size());
  if (const auto found = ids_.find(std::string(character)); found != ids_.end()) {
    units.push_back({found->second, length});
    return;
  }
  bool all_bytes = model_.byte_fallback;
  for (const char byte : character) {
    all_bytes = all_bytes && byte_ids_[static_cast<unsigned char>(byte)] >= 0;
  }
  if (all_bytes) {
    for (const char byte : character) {
      units.push_back({byte_ids_[static_cast<unsigned char>(byte)], 1});
    }
  } else if (model_.fuse_unk && !units.empty() && model_.unk_id >= 0 &&
             units.back().id == model_.unk_id) {
    units.back().length += length;
  } else if (model_.unk_id >= 0) {
    units.push_back({model_.unk_id, length});
  } else if (!units.empty()) {
    units.back().length += length;  // dropped; its bytes count with the token before
  }
}

void Bpe::merge_short(std::vector<BpeToken>& symbols) const {
  constexpr uint64_t kNone = ~uint64_t{0};
  std::array<uint64_t, kShortPiece> joins;  // joins[i]: the merge of symbols i and i + 1
  const auto join_at = [&](size_t i) {
    const uint64_t* merge = merge_of(symbols[i].id, symbols[i + 1].id);
    return merge == nullptr ? kNone : *merge;
  };
  size_t count = symbols.size();
  for (size_t i = 0; i + 1 < count; ++i) joins[i] = join_at(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (rank_of(joins[i]) < rank_of(joins[best])) best = i;
    }
    if (joins[best] == kNone) break;
    symbols[best] = {merged_of(joins[best]), symbols[best].length + symbols[best + 1].length};
    for (size_t i = best + 1; i + 1 < count; ++i) {
      symbols[i] = symbols[i + 1];
      if (i + 2 < count) joins[i] = joins[i + 1];
    }
    --count;
    if (best > 0) joins[best - 1] = join_at(best - 1);
    if (best + 1 < count) joins[best] = join_at(best);
  }
  symbols.resize(count);
}

void Bpe::merge_long(std::vector<BpeToken>& symbols) const {
  struct Candidate {
    uint32_t rank, at;
    int32_t merged;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const auto count = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> next(count), previous(count);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](uint32_t at) {
    if (next[at] >= count) return;
    if (const uint64_t* merge = merge_of(symbols[at].id, symbols[next[at]].id)) {
      queue.push({rank_of(*merge), at, merged_of(*merge)});
    }
  };
  for (uint32_t i = 0; i < count; ++i) {
    next[i] = i + 1;
    previous[i] = i - 1;  // wraps for the first, which `offer` never sees
  }
  for (uint32_t i = 0; i < count; ++i) offer(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const uint32_t right = symbols[best.at].length == 0 ? count : next[best.at];
    if (right >= count) continue;
    const uint64_t* merge = merge_of(symbols[best.at].id, symbols[right].id);
    if (merge == nullptr || merged_of(*merge) != best.merged) continue;  // the pair has changed
    symbols[best.at] = {best.merged, symbols[best.at].length + symbols[right].length};
    symbols[right].length = 0;  // gone
    next[best.at] = next[right];
    if (next[right] < count) previous[next[right]] = best.at;
    if (best.at > 0) offer(previous[best.at]);
    offer(best.at);
  }
  std::erase_if(symbols, [](const BpeToken& symbol) { return symbol.length == 0; });
}

}  // namespace temper
