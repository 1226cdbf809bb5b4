// What a new token leaves in the paged cache (model/layers/kv_cache.h), and the rotation of its
// queries: all between the projections of attention and attention itself, when generating.
#pragma once

#include "core/context.h"
#include "core/tensor.h"

namespace temper {

// Latent attention: cache[slot] = [norm * latent / rms(latent) ; RoPE(k_rope)] with kv_a = [latent
// ; k_rope];  q_h = [q_nope_h ; RoPE(q_rope_h)] from q_flat = [q_0 ; q_1 ; ...]. Pairs of rotations
// are neighbours (RopeStyle::interleaved).
// Shapes: q [N, H, nope+rope]; q_flat [N, H*(nope+rope)], may be a slice; kv_a [N, R+rope], may be
// a slice; norm [R]; cos, sin [N, rope/2]; slots [N] i32; cache [blocks, block_size, R+rope].
// Types: f32 or f64; on the GPU f32, bf16 or f16; all alike.
struct MlaEntry {
  Tensor cache, q;  // written
  Tensor q_flat, kv_a, norm, cos, sin, slots;
  double eps = 0.0;
};
void write_mla_entry(Context& ctx, const MlaEntry& entry);

// write_mla_entry, and the queries as absorbed attention takes them, in one kernel:
// q_latent_h = W_UK_h^T q_nope_h and q_rope_h = RoPE(q_rope_h).
// Source: DeepSeek-V2 section 2.1.3 ("absorbed").
// Shapes: entry.q is not written; w_uk [H, nope*R], row h being W_UK_h [nope, R]; q_latent [N, H,
// R], q_rope [N, H, rope]. Types: bf16 or f16.
// Returns false, with nothing done, where it cannot run: on the CPU, in another dtype, with other
// heads than 128 wide or rows that are not aligned to 16 bytes.
struct MlaQuery {
  MlaEntry entry;
  Tensor q_latent, q_rope;  // written
  Tensor w_uk;
};
bool write_mla_query(Context& ctx, const MlaQuery& query);

// Grouped-query attention: cache[slot] = [RoPE(k) ; v], all heads of k before all of v;
// q = RoPE(q_flat). Pairs are the halves of a head (RopeStyle::halves).
// Shapes: q [N, H, D]; q_flat [N, H*D], k and v [N, Hkv*D], may be slices; cos, sin [N, D/2];
// slots [N] i32; cache [blocks, block_size, 2*Hkv*D]. Types: as above.
struct GqaEntry {
  Tensor cache, q;  // written
  Tensor q_flat, k, v, cos, sin, slots;
};
void write_gqa_entry(Context& ctx, const GqaEntry& entry);

}  // namespace temper
