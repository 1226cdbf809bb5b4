#include "model/layers/rope_env.h"

#include "core/device.h"

namespace temper {

void make_rope_env(Context& ctx, Arena& arena, const ModelConfig& config, Tensor positions,
                   DType dtype, Tensor& cos, Tensor& sin) {
  const int64_t rotary =
      config.attention == AttentionKind::mla ? config.qk_rope_head_dim : config.head_dim;
  const RopeFrequencies frequencies =
      rope_frequencies(config.rope, rotary, config.max_position_embeddings);
  cos = arena.tensor("rope.cos", stat_dtype(dtype), {positions.numel(), rotary / 2});
  sin = arena.tensor("rope.sin", stat_dtype(dtype), {positions.numel(), rotary / 2});
  rope_tables(ctx, cos, sin, positions, frequencies);
}

}  // namespace temper
