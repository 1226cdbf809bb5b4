// Model FLOPs: what the definition of the model asks for, however it is computed.
#pragma once

#include "core/device.h"
#include "model/config.h"

namespace temper {

// Of one token's forward pass with `context` tokens to attend to (on average): 2 N + 2 c H (d_qk +
// d_v) a layer, with N the parameters that it meets (its experts; the head; not the embedding's
// table, which is looked up). MTP modules are not counted.
// Source: Kaplan et al. 2020, section 2.1; attention as in PaLM, appendix B, causal.
double forward_flops(const ModelConfig& config, double context);

// The same with its backward pass: three times the forward one. What recomputing costs is no model
// FLOP.
inline double training_flops(const ModelConfig& config, double context) {
  return 3.0 * forward_flops(config, context);
}

// FLOPs a second that the device does at most in dense products of this type, as its maker says;
// 0 where Temper does not know it: the CPU's, an unknown card's, f32's.
double peak_flops(Device device, DType dtype);
// The same by the card's name. Source: NVIDIA's data sheets of H100, H200 and A100 (bf16 and f16,
// dense).
double peak_flops_of(std::string_view gpu, DType dtype);

}  // namespace temper
