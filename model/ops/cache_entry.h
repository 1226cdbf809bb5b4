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
// Types: f32 or f64; on the GPU f32 or bf16; all alike.
struct MlaEntry {
  Tensor cache, q;  // written
  Tensor q_flat, kv_a, norm, cos, sin, slots;
  double eps = 0.0;
};
void write_mla_entry(Context& ctx, const MlaEntry& entry);

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
