#include "model/training/memory_plan.h"

#include <algorithm>
#include <cstdio>

#include "core/device.h"
#include "model/layers/lm_head.h"

namespace temper {
namespace {

// Numbers that mla_forward or gqa_forward keep for one token.
int64_t attention_numbers(const ModelConfig& c) {
  const int64_t h = c.num_attention_heads;
  if (c.attention == AttentionKind::gqa) {
    const int64_t kv = c.num_key_value_heads, d = c.head_dim;
    return (c.qk_norm ? 2 : 1) * (h + kv) * d + kv * d + h * d + h + (c.qk_norm ? h + kv : 0);
  }
  const int64_t q_lora = c.q_lora_rank > 0 ? 2 * c.q_lora_rank + 1 : 0;
  const int64_t latent = 2 * (c.kv_lora_rank + c.qk_rope_head_dim) + 1;
  return q_lora + latent + h * (c.qk_head_dim() + c.qk_nope_head_dim + 2 * c.v_head_dim + 1);
}

// Numbers that the feed-forward keeps for one token.
int64_t ffn_numbers(const ModelConfig& c, bool moe) {
  if (!moe) return 2 * c.intermediate_size;
  const int64_t k = c.num_experts_per_tok, e = c.n_routed_experts;
  return e + 4 * k + 2 * k * c.moe_intermediate_size + 2 * c.shared_intermediate_size();
}

int64_t block_numbers(const ModelConfig& c, bool moe) {
  return 4 * c.hidden_size + 2 + attention_numbers(c) + ffn_numbers(c, moe);
}

constexpr const char* kTurnDown = "lower --micro-batch-tokens, use --recompute or --moments bf16";

// What makes the plan smaller: the cache is made by other options than the rest.
std::string turn_down(const MemoryPlan& plan, const PlanRequest& request) {
  const std::string sequences =
      request.cache_bytes > 0 ? "--rollout-batch or --max-new-tokens" : "--max-tokens";
  if (plan.total_bytes() - request.cache_bytes <= plan.memory_bytes) return "lower " + sequences;
  return std::string(kTurnDown) + ", lower " + sequences;
}

std::string line(const std::string& name, int64_t bytes) {
  char text[96];
  std::snprintf(text, sizeof text, "  %-28s %10.1f MiB\n", name.c_str(),
                static_cast<double>(bytes) / (1 << 20));
  return text;
}

}  // namespace

int64_t MemoryPlan::total_bytes() const {
  int64_t total = 0;
  for (const Item& item : items) total += item.bytes;
  return total;
}

std::string MemoryPlan::text() const {
  std::string out = "memory plan";
  if (micro_batch_tokens > 0)
    out += " (micro-batches of " + std::to_string(micro_batch_tokens) + " tokens)";
  out += "\n";
  for (const Item& item : items) out += line(item.name, item.bytes);
  out += line("total", total_bytes()) + line("available", memory_bytes);
  out.pop_back();
  return out;
}

int64_t activation_bytes_per_token(const ModelConfig& c, const TrainOptions& o, DType dtype) {
  const auto stream =
      c.hidden_size * static_cast<int64_t>(size_of(stat_dtype(dtype)) / size_of(dtype));
  int64_t kept = 0, largest = 0;
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
    const int64_t block = block_numbers(c, c.is_moe_layer(l));
    kept += o.recompute ? stream + (c.is_moe_layer(l) ? c.n_routed_experts : 0) : block;
    largest = std::max(largest, block);
  }
  // The backward pass of a block needs about as much again for its gradients.
  kept += largest * (o.recompute ? 2 : 1);
  if (o.mtp_weight > 0.0)
    kept +=
        c.num_nextn_predict_layers * (block_numbers(c, c.n_routed_experts > 0) + 8 * c.hidden_size);
  kept += 8 * c.hidden_size;
  return kept * static_cast<int64_t>(size_of(dtype));
}

namespace {

// What attention's backward leaves in memory between its kernels for one token: 2 bytes for each
// query, key and head that see each other, up to 64 KiB (model/ops/cuda/attention_pieces.h).
int64_t attention_bytes_per_token(const ModelConfig& c, const PlanRequest& request,
                                  int64_t longest) {
  if (request.device == Device::cpu || stat_dtype(request.dtype) == request.dtype) return 0;
  return std::min<int64_t>((longest + 128) * c.num_attention_heads, int64_t{64} << 10);
}

// A chunk of the head: with its logits and their gradient, or with the gradient alone.
int64_t head_bytes(const ModelConfig& c, const PlanRequest& request) {
  const auto narrow = static_cast<int64_t>(size_of(request.dtype));
  const auto wide = static_cast<int64_t>(size_of(stat_dtype(request.dtype)));
  const int64_t rows = head_chunk(request.device, c.vocab_size);
  const int64_t many = head_chunk(request.device, c.vocab_size, true);
  return c.vocab_size * std::max(rows * (wide + narrow), many * narrow);
}

}  // namespace

MemoryPlan estimate_training(const ModelConfig& config, const TrainOptions& options,
                             const PlanRequest& request) {
  const DType wide = stat_dtype(request.dtype);
  const int64_t parameters = count_parameters(config).total;
  const auto in = [&](DType dtype) { return parameters * static_cast<int64_t>(size_of(dtype)); };
  const int64_t weights = in(request.dtype);
  const int64_t moment = in(options.optimizer.bf16_moments ? DType::bf16 : wide);
  MemoryPlan plan;
  plan.memory_bytes =
      request.memory_bytes > 0 ? request.memory_bytes : available_memory(request.device);
  plan.items = {{"weights", weights}, {"gradients", in(wide)}, {"AdamW moments", 2 * moment}};
  if (wide != request.dtype) plan.items.push_back({"low halves of the weights", 2 * parameters});
  if (request.reference) plan.items.push_back({"reference weights", weights});
  if (request.cache_bytes > 0) plan.items.push_back({"rollout KV cache", request.cache_bytes});
  plan.items.insert(plan.items.end(), request.others.begin(), request.others.end());
  plan.items.push_back({"head, one chunk of logits", head_bytes(config, request)});

  const int64_t per_token = activation_bytes_per_token(config, options, request.dtype);
  const int64_t longest = request.longest_sequence > 0 ? request.longest_sequence : 8192;
  const int64_t of_attention = attention_bytes_per_token(config, request, longest);
  const int64_t room = plan.memory_bytes * 9 / 10 - plan.total_bytes();
  plan.micro_batch_tokens = request.micro_batch_tokens;
  const int64_t most = request.update_tokens > 0 ? request.update_tokens : INT64_MAX;
  if (plan.micro_batch_tokens == 0)
    plan.micro_batch_tokens =
        std::clamp<int64_t>(room / (per_token + of_attention), 1, std::min<int64_t>(8192, most));
  const int64_t alive = std::min(std::max(plan.micro_batch_tokens, request.longest_sequence), most);
  plan.items.push_back({"activations", per_token * alive});
  if (of_attention > 0) plan.items.push_back({"attention's backward", of_attention * alive});
  return plan;
}

MemoryPlan plan_training(const ModelConfig& config, const TrainOptions& options,
                         const PlanRequest& request) {
  MemoryPlan plan = estimate_training(config, options, request);
  if (plan.total_bytes() > plan.memory_bytes)
    throw UserError({.what = "the memory plan does not fit",
                     .expected = "at most " + std::to_string(plan.memory_bytes >> 20) + " MiB",
                     .found = "\n" + plan.text(),
                     .hint = turn_down(plan, request)});
  return plan;
}

std::string out_of_memory_text(const std::string& what, const MemoryPlan& plan,
                               const Arena& activations, const Arena& scratch) {
  const auto part = [](const char* title, const Arena& arena) {
    std::string text = title, report = arena.report();
    size_t end = 0;
    for (int line = 0; line < 12 && end < report.size(); ++line) end = report.find('\n', end) + 1;
    return text + " (" + std::to_string(arena.live_bytes() >> 20) + " MiB)\n" +
           report.substr(0, end);
  };
  return what + "\n" + plan.text() + "\n" + part("activations of this micro-batch", activations) +
         part("temporaries", scratch) + kTurnDown;
}

std::vector<MemoryPlan::Item> estimate_generation(const ModelConfig& config,
                                                  const GenerationRequest& request) {
  const ParameterCount count = count_parameters(config);
  const auto unit = static_cast<int64_t>(size_of(request.dtype));
  const int64_t cached = config.num_hidden_layers * config.cache_width();
  return {{"weights", (count.total - count.mtp) * unit},
          {"KV cache",
           std::min(cached * request.sequences * request.tokens * unit, request.cache_limit)},
          {"logits", request.sequences * config.vocab_size * unit}};
}

MemoryPlan plan_generation(const ModelConfig& config, const GenerationRequest& request,
                           Device device, const std::vector<MemoryPlan::Item>& others) {
  MemoryPlan plan;
  plan.memory_bytes = available_memory(device);
  plan.items = estimate_generation(config, request);
  plan.items.insert(plan.items.end(), others.begin(), others.end());
  if (plan.total_bytes() > plan.memory_bytes)
    throw UserError({.what = "the memory plan does not fit",
                     .expected = "at most " + std::to_string(plan.memory_bytes >> 20) + " MiB",
                     .found = "\n" + plan.text(),
                     .hint = "generate fewer samples at a time, or judge with a smaller model"});
  return plan;
}

std::vector<MemoryPlan::Item> estimate_scoring(const ModelConfig& config, DType dtype,
                                               int64_t tokens) {
  const auto unit = static_cast<int64_t>(size_of(dtype));
  int64_t largest = 0;
  for (int64_t l = 0; l < config.num_hidden_layers; ++l)
    largest = std::max(largest, block_numbers(config, config.is_moe_layer(l)));
  return {{"weights", count_parameters(config).total * unit},
          {"activations", (largest + 2 * config.hidden_size) * tokens * unit}};
}

}  // namespace temper
