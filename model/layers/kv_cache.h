// The paged cache of generation: one pool of blocks a layer, shared by all sequences.
#pragma once

#include <vector>

#include "core/context.h"
#include "model/config.h"

namespace temper {

// layers[l]: [blocks, block_size, config.cache_width()]. Block b, offset o holds one token: for MLA
// the latent after kv_a_layernorm and k_rope after RoPE (576 numbers for V3); for GQA k after RoPE
// and v. Which sequence owns which block is the rollout's business (rollout/block_manager).
struct KvCache {
  int64_t blocks = 0, block_size = 0;
  std::vector<Tensor> layers;
  OwnedTensor storage;  // [layers, blocks, block_size, width]
};

// Zero-filled blocks for every layer.
KvCache allocate_kv_cache(const ModelConfig& config, int64_t blocks, int64_t block_size,
                          DType dtype, Device device = Device::cpu);

// Copies blocks in every layer (shared blocks that one sample writes on).
// Shapes: pairs [P, 2] i32: from, to.
void copy_cache_blocks(Context& ctx, KvCache& cache, Tensor pairs);

}  // namespace temper
