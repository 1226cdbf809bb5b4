#include "model/training/flops.h"

#include <array>

#include "model/weights.h"

namespace temper {

double forward_flops(const ModelConfig& config, double context) {
  const bool mla = config.attention == AttentionKind::mla;
  const int64_t table = config.tie_word_embeddings ? 0 : config.vocab_size * config.hidden_size;
  const auto parameters = static_cast<double>(count_parameters(config).active - table);
  const int64_t widths = mla ? config.qk_head_dim() + config.v_head_dim : 2 * config.head_dim;
  const auto heads =
      static_cast<double>(config.num_hidden_layers * config.num_attention_heads * widths);
  return 2.0 * parameters + 2.0 * context * heads;
}

double peak_flops_of(std::string_view gpu, DType dtype) {
  struct Card {
    std::string_view name;
    double flops;
  };
  // The longer names first: the PCIe cards are slower.
  constexpr std::array<Card, 5> kCards{{{"H100 PCIe", 756e12},
                                        {"H100 NVL", 835e12},
                                        {"H100", 989.4e12},
                                        {"H200", 989.4e12},
                                        {"A100", 312e12}}};
  if (dtype != DType::bf16 && dtype != DType::f16) return 0.0;
  for (const Card& card : kCards)
    if (gpu.find(card.name) != std::string_view::npos) return card.flops;
  return 0.0;
}

double peak_flops(Device device, DType dtype) {
  return device == Device::cuda ? peak_flops_of(gpu_info().name, dtype) : 0.0;
}

}  // namespace temper
