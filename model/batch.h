// TokenBatch: packed sequences as the decoder takes them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/context.h"
#include "core/sequences.h"

namespace temper {

// One stream of T tokens; sequence s is rows cu_seqlens[s] .. cu_seqlens[s+1], and sequences never
// see each other. Targets are the model's view (the next token); which of them count in a loss is
// the stage's business.
struct TokenBatch {
  std::vector<int32_t> cu_seqlens;  // [S+1] from 0 to T, on the host
  std::vector<int32_t> targets;     // [T] the next token of the same sequence, -1 at its end; host
  Tensor ids;                       // [T] i32
  Tensor positions;                 // [T] i32  0, 1, ... within each sequence
  Tensor cu_seqlens_tensor;         // [S+1] i32  the same as cu_seqlens, on the context's device

  int64_t tokens() const { return ids.numel(); }
  int64_t sequences() const { return static_cast<int64_t>(cu_seqlens.size()) - 1; }
  Sequences bounds() const { return {cu_seqlens, cu_seqlens_tensor}; }
};

// Packs the sequences in order; every sequence has at least one token. The tensors lie in `arena`.
TokenBatch make_batch(Context& ctx, Arena& arena, std::span<const std::vector<int32_t>> sequences);

}  // namespace temper
