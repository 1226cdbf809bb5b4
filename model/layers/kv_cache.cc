#include "model/layers/kv_cache.h"

#include "core/device.h"
#include "model/ops/copy_blocks.h"

namespace temper {

KvCache allocate_kv_cache(const ModelConfig& config, int64_t blocks, int64_t block_size,
                          DType dtype, Device device) {
  require(blocks > 0 && block_size > 0, "a cache needs blocks");
  KvCache cache;
  cache.blocks = blocks;
  cache.block_size = block_size;
  const int64_t layers = config.num_hidden_layers, width = config.cache_width();
  cache.storage = allocate(dtype, {layers, blocks, block_size, width}, device);
  for (int64_t l = 0; l < layers; ++l)
    cache.layers.push_back(
        cache.storage.view.slice_rows(l, 1).reshape({blocks, block_size, width}));
  return cache;
}

void copy_cache_blocks(Context& ctx, KvCache& cache, Tensor pairs) {
  const int64_t layers = static_cast<int64_t>(cache.layers.size());
  copy_blocks(ctx,
              cache.storage.view.reshape(
                  {layers, cache.blocks, cache.block_size * cache.storage.view.cols()}),
              pairs);
}

}  // namespace temper
