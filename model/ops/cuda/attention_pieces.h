// dS between the two kernels of attention's backward on Hopper: the one that owns keys leaves it in
// device memory, the one that owns queries multiplies it by the keys.
//
// A piece is dS^T of 128 keys and 64 queries in 16 bits: a line of 64 queries a key, swizzled as
// wgmma reads it. There are pieces only where a query sees a key: of each block of keys those from
// the block's first query on, block after block, head after head, sequence after sequence.
#pragma once

#include "model/ops/cuda/attention_hopper.h"

namespace temper::cuda::attention_hopper {

constexpr int kPieceKeys = kTileRows, kPieceQueries = 64;
constexpr int kPieceNumbers = kPieceKeys * kPieceQueries;

// Pieces of one head of a sequence, of its keys from .. upto (multiples of 128 or the end).
__host__ __device__ inline int pieces_of(int length, int from, int upto) {
  const int columns = (length + kPieceQueries - 1) / kPieceQueries;
  const int blocks = (length + kPieceKeys - 1) / kPieceKeys;
  const int a = from / kPieceKeys, n = (upto + kPieceKeys - 1) / kPieceKeys;
  const int b = n < blocks ? n : blocks;
  return a < b ? (b - a) * columns - (b * (b - 1) - a * (a - 1)) : 0;
}

// The pieces of a launch: of `heads` heads of queries from `first_head` on and keys from .. upto.
struct Pieces {
  uint16_t* at = nullptr;
  int heads = 0, first_head = 0, from = 0, upto = 0;
};

// Queues dq of those heads of queries, from the pieces and the keys.
void launch_query_gradient_hopper(Context& ctx, const AttentionBackward<bf16>& args,
                                  const Pieces& pieces, TileOrder order,
                                  const Sequences& sequences);
void launch_query_gradient_hopper(Context& ctx, const AttentionBackward<f16>& args,
                                  const Pieces& pieces, TileOrder order,
                                  const Sequences& sequences);

}  // namespace temper::cuda::attention_hopper

#if defined(__CUDACC__) && defined(__CUDA_ARCH_FEAT_SM90_ALL)

namespace temper::cuda::attention_hopper {

// The number of a tile's first piece, of head `head` and the keys from `key` on. Every lane of the
// warp calls it alike.
__device__ inline int64_t first_piece(const Pieces& pieces, const SequenceTable& sequences,
                                      const TileAt& t, int head) {
  int before = 0;  // of a head of the sequences before this one
  for (int base = 0; base < sequences.count; base += 32) {
    const int s = base + static_cast<int>(threadIdx.x % 32);
    const bool there = s < sequences.count && sequences.cu_seqlens[s] < t.first;
    if (there)
      before += pieces_of(sequences.cu_seqlens[s + 1] - sequences.cu_seqlens[s], pieces.from,
                          pieces.upto);
    if (!__any_sync(0xffffffffU, there)) break;
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2)
    before += __shfl_xor_sync(0xffffffffU, before, offset);
  return int64_t{before} * pieces.heads +
         int64_t{head - pieces.first_head} * pieces_of(t.length, pieces.from, pieces.upto);
}

}  // namespace temper::cuda::attention_hopper

#endif
