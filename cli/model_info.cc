// temper model info: what a model is and what it needs.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>

#include "cli/subcommands.h"
#include "core/device.h"
#include "core/error.h"
#include "model/checkpoint/shards.h"
#include "model/training/memory_plan.h"
#include "model/weights.h"

namespace temper {
namespace {

struct InfoOptions {
  std::string model, preset;
  DType dtype = DType::f32;
  bool recompute = false, bf16_moments = false;
  int64_t tokens = 4096, sequences = 16, length = 1024;
};

OptionsTable info_table(InfoOptions& o) {
  OptionsTable table;
  table.group("Model");
  table.add("model", &o.model, "model folder").value_name("DIR").positional();
  table.add("preset", &o.preset, "a built-in shape instead of a folder").value_name("NAME");
  table.group("Memory plan");
  table.add_choice(
      "dtype", &o.dtype,
      {{"f32", DType::f32}, {"f64", DType::f64}, {"bf16", DType::bf16}, {"f16", DType::f16}},
      "type of the weights in memory; bf16 and f16 are a GPU's");
  table.add("tokens", &o.tokens, "training: tokens of a micro-batch").at_least(1).unit("tokens");
  table.add("recompute", &o.recompute, "training: run each block again in backward");
  table.add("bf16-moments", &o.bf16_moments, "training: AdamW's moments in BF16");
  table.add("sequences", &o.sequences, "generation: sequences at a time").at_least(1);
  table.add("length", &o.length, "generation: tokens of a sequence").at_least(1).unit("tokens");
  return table;
}

std::string millions(int64_t n) {
  char text[32];
  const auto value = static_cast<double>(n);
  if (n >= 1000000000)
    std::snprintf(text, sizeof text, "%.2f B", value / 1e9);
  else
    std::snprintf(text, sizeof text, "%.2f M", value / 1e6);
  return text;
}

std::string attention_text(const ModelConfig& c) {
  const std::string heads = std::to_string(c.num_attention_heads) + " heads";
  if (c.attention == AttentionKind::gqa)
    return "grouped-query, " + heads + " of " + std::to_string(c.head_dim) + ", " +
           std::to_string(c.num_key_value_heads) + " for keys and values";
  return "multi-head latent, " + heads + ", q_lora_rank " +
         (c.q_lora_rank > 0 ? std::to_string(c.q_lora_rank) : "null") + ", kv_lora_rank " +
         std::to_string(c.kv_lora_rank) + ", nope/rope/v " + std::to_string(c.qk_nope_head_dim) +
         "/" + std::to_string(c.qk_rope_head_dim) + "/" + std::to_string(c.v_head_dim);
}

std::string experts_text(const ModelConfig& c) {
  if (c.n_routed_experts == 0) return "none";
  std::string text = std::to_string(c.n_routed_experts) + " of width " +
                     std::to_string(c.moe_intermediate_size) + ", " +
                     std::to_string(c.num_experts_per_tok) + " a token";
  if (c.group_limited && c.n_group > 1)
    text +=
        " from " + std::to_string(c.topk_group) + " of " + std::to_string(c.n_group) + " groups";
  text += ", " + std::to_string(c.n_shared_experts) + " shared, ";
  return text + (c.scoring_func == ScoringFunc::sigmoid ? "sigmoid" : "softmax") + " gate";
}

// "F32 in 84 tensors, 8.6 MiB".
std::string stored_text(const std::string& dir) {
  const std::filesystem::path path = dir;
  if (!std::filesystem::exists(path / "model.safetensors") &&
      !std::filesystem::exists(path / "model.safetensors.index.json"))
    return "no weights in " + dir;  // a config.json alone can be planned with
  const Shards shards(dir);
  std::map<std::string, std::pair<int64_t, size_t>> by_type;
  for (const std::string& name : shards.names()) {
    const StoredTensor* tensor = shards.find(name);
    ++by_type[tensor->dtype].first;
    by_type[tensor->dtype].second += tensor->bytes;
  }
  std::string text;
  for (const auto& [type, sum] : by_type) {
    char line[96];
    std::snprintf(line, sizeof line, "%s in %lld tensors, %.1f MiB", type.c_str(),
                  static_cast<long long>(sum.first), static_cast<double>(sum.second) / (1 << 20));
    text += (text.empty() ? "" : "; ") + std::string(line);
  }
  return text;
}

void print_model(const InfoOptions& o, const ModelConfig& c, std::ostream& out) {
  const ParameterCount count = count_parameters(c);
  // Before the first line: a file that is no good is an error and nothing else.
  const std::string stored = o.model.empty() ? "" : stored_text(o.model);
  out << "architecture  " << c.model_type << ", " << c.num_hidden_layers << " layers, hidden size "
      << c.hidden_size << '\n'
      << "attention     " << attention_text(c) << '\n'
      << "experts       " << experts_text(c) << '\n'
      << "vocabulary    " << c.vocab_size << (c.tie_word_embeddings ? ", tied head" : "") << '\n'
      << "context       " << c.max_position_embeddings << " tokens, cache of " << c.cache_width()
      << " numbers a token and layer\n"
      << "parameters    " << millions(count.total) << ", " << millions(count.active)
      << " active a token, " << millions(count.mtp) << " in " << c.num_nextn_predict_layers
      << " MTP modules\n";
  if (!stored.empty()) out << "stored        " << stored << '\n';
}

std::string size_text(int64_t bytes) {
  char text[32];
  const double mib = static_cast<double>(bytes) / (1 << 20);
  const bool large = mib >= 10240;
  std::snprintf(text, sizeof text, "%10.1f %s", large ? mib / 1024 : mib, large ? "GiB" : "MiB");
  return text;
}

// One line an item, then the sum.
std::string memory_table(const std::vector<MemoryPlan::Item>& items) {
  std::string text;
  int64_t total = 0;
  for (const MemoryPlan::Item& item : items) {
    text += size_text(item.bytes) + "  " + item.name + "\n";
    total += item.bytes;
  }
  return text + size_text(total) + "  in all\n";
}

int info(const InfoOptions& o, Invocation& cli) {
  if (o.model.empty() == o.preset.empty())
    throw UserError({.what = "model info needs one of --model and --preset",
                     .hint = "temper model info --model DIR"});
  const ModelConfig config = o.model.empty() ? preset_config(o.preset) : read_model_config(o.model);
  print_model(o, config, cli.out);
  TrainOptions training;
  training.recompute = o.recompute;
  training.optimizer.bf16_moments = o.bf16_moments;
  training.mtp_weight = config.num_nextn_predict_layers > 0 ? 0.1 : 0.0;
  const bool narrow = stat_dtype(o.dtype) != o.dtype;
  const MemoryPlan plan =
      estimate_training(config, training,
                        {.dtype = o.dtype,
                         .device = narrow ? Device::cuda : Device::cpu,
                         .longest_sequence = std::min(o.tokens, config.max_position_embeddings),
                         .micro_batch_tokens = o.tokens,
                         .memory_bytes = INT64_MAX});  // of any machine
  const std::string type(name_of(o.dtype));
  cli.out << "\ntraining in " << type << ", micro-batches of " << o.tokens << " tokens\n"
          << memory_table(plan.items) << "\ngeneration in " << type << ", " << o.sequences
          << " sequences of " << o.length << " tokens\n"
          << memory_table(estimate_generation(
                 config, {.dtype = o.dtype, .sequences = o.sequences, .tokens = o.length}));
  return 0;
}

}  // namespace

void add_model_info(Subcommands& list) {
  auto o = std::make_shared<InfoOptions>();
  list.add({.name = "model info",
            .about = "architecture, parameters and a memory plan",
            .examples = "  temper model info --model runs/tiny\n"
                        "  temper model info --preset deepseek-v3 --recompute\n"
                        "  temper model info --preset v3-1b --dtype bf16 --bf16-moments --tokens "
                        "16384",
            .options = info_table(*o),
            .run = [o](Invocation& cli) { return info(*o, cli); }});
}

}  // namespace temper
