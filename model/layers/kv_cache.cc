#include "model/layers/kv_cache.h"

#include "core/device.h"

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

void copy_cache_block(Context& ctx, KvCache& cache, int32_t from, int32_t to) {
  for (Tensor& layer : cache.layers) {
    const size_t bytes =
        static_cast<size_t>(cache.block_size * layer.cols()) * size_of(layer.dtype);
    char* base = static_cast<char*>(layer.data);
    copy_bytes(ctx, base + static_cast<size_t>(to) * bytes, layer.device,
               base + static_cast<size_t>(from) * bytes, layer.device, bytes);
  }
}

}  // namespace temper
