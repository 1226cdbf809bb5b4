#include "model/weights.h"

#include <functional>
#include <initializer_list>

#include "core/random.h"
#include "model/weights_shapes.h"

namespace temper {
namespace {

using Dims = std::initializer_list<int64_t>;
using Visit = std::function<void(NamedTensor named, Dims dims)>;

NamedTensor whole(std::string name, TensorRole role, Tensor& tensor) {
  return {name, role, &tensor, {name}};
}

// Walks one block's tensors under `prefix` ("model.layers.3."). The only list of a block's parts.
class BlockWalk {
 public:
  BlockWalk(const ModelConfig& config, std::string prefix, const Visit& visit)
      : config_(config), prefix_(std::move(prefix)), visit_(visit) {}

  void block(BlockWeights& weights, bool is_moe) const {
    const int64_t d = config_.hidden_size;
    norm("input_layernorm.weight", weights.input_layernorm, d);
    if (config_.attention == AttentionKind::mla)
      mla(weights.mla);
    else
      gqa(weights.gqa);
    norm("post_attention_layernorm.weight", weights.post_attention_layernorm, d);
    if (is_moe)
      moe(weights.moe);
    else
      mlp("mlp.", weights.mlp, config_.intermediate_size);
  }

 private:
  void matrix(const char* name, Tensor& tensor, int64_t out, int64_t in) const {
    visit_(whole(prefix_ + name, TensorRole::matrix, tensor), {out, in});
  }
  void norm(const char* name, Tensor& tensor, int64_t n) const {
    visit_(whole(prefix_ + name, TensorRole::norm, tensor), {n});
  }
  // gate_proj above up_proj.
  void gate_up(const std::string& name, TensorRole role, Tensor& tensor, Dims dims) const {
    const std::string path = prefix_ + name;
    visit_({path + "gate_up_proj.weight",
            role,
            &tensor,
            {path + "gate_proj.weight", path + "up_proj.weight"}},
           dims);
  }

  void mla(MlaWeights& w) const {
    const int64_t d = config_.hidden_size, heads = config_.num_attention_heads;
    const int64_t q_rows = heads * config_.qk_head_dim();
    const int64_t kv_rows = heads * (config_.qk_nope_head_dim + config_.v_head_dim);
    const int64_t q_lora = config_.q_lora_rank, kv_lora = config_.kv_lora_rank;
    if (q_lora == 0) {
      matrix("self_attn.q_proj.weight", w.q_proj, q_rows, d);
    } else {
      matrix("self_attn.q_a_proj.weight", w.q_a_proj, q_lora, d);
      norm("self_attn.q_a_layernorm.weight", w.q_a_layernorm, q_lora);
      matrix("self_attn.q_b_proj.weight", w.q_b_proj, q_rows, q_lora);
    }
    matrix("self_attn.kv_a_proj_with_mqa.weight", w.kv_a_proj_with_mqa,
           kv_lora + config_.qk_rope_head_dim, d);
    norm("self_attn.kv_a_layernorm.weight", w.kv_a_layernorm, kv_lora);
    matrix("self_attn.kv_b_proj.weight", w.kv_b_proj, kv_rows, kv_lora);
    matrix("self_attn.o_proj.weight", w.o_proj, d, heads * config_.v_head_dim);
  }

  void gqa(GqaWeights& w) const {
    const int64_t d = config_.hidden_size, head = config_.head_dim;
    const int64_t q_rows = config_.num_attention_heads * head;
    const int64_t kv_rows = config_.num_key_value_heads * head;
    const auto bias = [&](const char* name, Tensor& tensor, int64_t rows) {
      visit_(whole(prefix_ + name, TensorRole::bias, tensor), {rows});
    };
    matrix("self_attn.q_proj.weight", w.q_proj, q_rows, d);
    matrix("self_attn.k_proj.weight", w.k_proj, kv_rows, d);
    matrix("self_attn.v_proj.weight", w.v_proj, kv_rows, d);
    matrix("self_attn.o_proj.weight", w.o_proj, d, q_rows);
    if (config_.qkv_bias) {
      bias("self_attn.q_proj.bias", w.q_bias, q_rows);
      bias("self_attn.k_proj.bias", w.k_bias, kv_rows);
      bias("self_attn.v_proj.bias", w.v_bias, kv_rows);
    }
    if (config_.o_bias) bias("self_attn.o_proj.bias", w.o_bias, d);
    if (config_.qk_norm) {
      norm("self_attn.q_norm.weight", w.q_norm, head);
      norm("self_attn.k_norm.weight", w.k_norm, head);
    }
  }

  void mlp(const std::string& name, MlpWeights& w, int64_t width) const {
    const int64_t d = config_.hidden_size;
    gate_up(name, TensorRole::matrix, w.gate_up_proj, {2 * width, d});
    matrix((name + "down_proj.weight").c_str(), w.down_proj, d, width);
  }

  void moe(MoeWeights& w) const {
    const int64_t d = config_.hidden_size, experts = config_.n_routed_experts;
    const int64_t width = config_.moe_intermediate_size;
    matrix("mlp.gate.weight", w.gate, experts, d);
    if (config_.has_correction_bias)
      visit_(whole(prefix_ + "mlp.gate.e_score_correction_bias", TensorRole::router_bias,
                   w.e_score_correction_bias),
             {experts});
    gate_up("mlp.experts.*.", TensorRole::experts, w.experts_gate_up_proj, {experts, 2 * width, d});
    visit_(
        whole(prefix_ + "mlp.experts.*.down_proj.weight", TensorRole::experts, w.experts_down_proj),
        {experts, d, width});
    if (config_.n_shared_experts > 0)
      mlp("mlp.shared_experts.", w.shared_experts, config_.shared_intermediate_size());
  }

  const ModelConfig& config_;
  std::string prefix_;
  const Visit& visit_;
};

// Sizes the vectors of `weights` and visits every tensor with its shape, in the fixed order.
void walk(ModelWeights& weights, const ModelConfig& config, const Visit& visit) {
  const int64_t d = config.hidden_size, layers = config.num_hidden_layers;
  const auto norm = [&](std::string name, Tensor& tensor) {
    visit(whole(std::move(name), TensorRole::norm, tensor), {d});
  };
  weights.layers.resize(static_cast<size_t>(layers));
  weights.mtp.resize(static_cast<size_t>(config.num_nextn_predict_layers));
  visit(whole("model.embed_tokens.weight", TensorRole::embedding, weights.embed_tokens),
        {config.vocab_size, d});
  for (int64_t i = 0; i < layers; ++i)
    BlockWalk(config, "model.layers." + std::to_string(i) + ".", visit)
        .block(weights.layers[static_cast<size_t>(i)], config.is_moe_layer(i));
  norm("model.norm.weight", weights.norm);
  if (config.num_labels > 0)
    visit(whole("score.weight", TensorRole::embedding, weights.score), {config.num_labels, d});
  else if (!config.tie_word_embeddings)
    visit(whole("lm_head.weight", TensorRole::embedding, weights.lm_head), {config.vocab_size, d});
  for (int64_t k = 0; k < config.num_nextn_predict_layers; ++k) {
    MtpWeights& mtp = weights.mtp[static_cast<size_t>(k)];
    const std::string prefix = "model.layers." + std::to_string(layers + k) + ".";
    norm(prefix + "enorm.weight", mtp.enorm);
    norm(prefix + "hnorm.weight", mtp.hnorm);
    visit(whole(prefix + "eh_proj.weight", TensorRole::matrix, mtp.eh_proj), {d, 2 * d});
    BlockWalk(config, prefix, visit).block(mtp.block, config.n_routed_experts > 0);
    norm(prefix + "shared_head.norm.weight", mtp.shared_head_norm);
  }
}

bool has_tied_head(const ModelConfig& config) {
  return config.tie_word_embeddings && config.num_labels == 0;
}

int64_t product(Dims dims) {
  int64_t n = 1;
  for (const int64_t dim : dims) {
    require(dim > 0, "a model dimension is not positive");
    n *= dim;
  }
  return n;
}

// `index`: of the first of the tensor's parts, so that a part's numbers do not depend on where it
// lies.
template <class T>
void fill(const NamedTensor& named, double deviation, uint64_t seed, uint32_t index) {
  const Tensor& tensor = *named.tensor;
  const TensorRole role = named.role;
  const auto parts = static_cast<int64_t>(named.parts.size());
  const int64_t rows = (tensor.rank == 3 ? tensor.dim(1) : tensor.rows()) / parts;  // of a part
  const bool is_constant =
      role == TensorRole::norm || role == TensorRole::bias || role == TensorRole::router_bias;
  const T constant = role == TensorRole::norm ? T{1} : T{0};
  for (int64_t i = 0; i < tensor.rows(); ++i) {
    T* row = tensor.row<T>(i);
    // A generator a row: rows may be filled in any order, on any number of threads.
    const int64_t part = i / rows % parts, row_of_part = i / (rows * parts) * rows + i % rows;
    Random random(seed, RandomStream::weights, index + static_cast<uint32_t>(part),
                  static_cast<uint32_t>(row_of_part));
    for (int64_t j = 0; j < tensor.cols(); ++j)
      // Through float, so that f64 models start from the same numbers as f32 ones.
      row[j] =
          is_constant ? constant : static_cast<T>(static_cast<float>(deviation * random.normal()));
  }
}

}  // namespace

std::vector<NamedTensor> tensors_of(ModelWeights& weights, const ModelConfig& config) {
  std::vector<NamedTensor> tensors;
  walk(weights, config, [&](NamedTensor named, Dims) { tensors.push_back(std::move(named)); });
  return tensors;
}

ModelWeights shapes_of_weights(const ModelConfig& config) {
  ModelWeights shapes;
  walk(shapes, config, [](const NamedTensor& named, Dims dims) {
    *named.tensor = make_tensor(nullptr, DType::f32, dims);
  });
  if (has_tied_head(config)) shapes.lm_head = shapes.embed_tokens;
  return shapes;
}

OwnedWeights allocate_weights(const ModelConfig& config, DType dtype, Device device) {
  // In elements, so that low halves, gradients and moments of any dtype share one layout.
  constexpr int64_t alignment = 64;
  const auto padded = [](int64_t n, int64_t to) { return (n + to - 1) / to * to; };
  OwnedWeights owned;
  int64_t size = 0, bias_size = 0;
  walk(owned.view, config, [&](const NamedTensor& named, Dims dims) {
    if (named.role == TensorRole::router_bias)
      bias_size += padded(product(dims), 16);
    else
      size += padded(product(dims), alignment);
  });
  owned.storage = allocate(dtype, {size}, device);
  owned.router_biases = allocate(DType::f32, {bias_size}, device);
  char* next = static_cast<char*>(owned.storage.view.data);
  char* next_bias = static_cast<char*>(owned.router_biases.view.data);
  const auto place = [&](Tensor& tensor) {
    tensor.data = next;
    next += padded(tensor.numel(), alignment) * static_cast<int64_t>(size_of(dtype));
  };
  // A gate lies right before the shared experts' first projection, so that one product takes the
  // gradients of both back to their input.
  Tensor* gate = nullptr;
  walk(owned.view, config, [&](const NamedTensor& named, Dims dims) {
    if (named.role == TensorRole::router_bias) {
      *named.tensor = make_tensor(next_bias, DType::f32, dims, device);
      next_bias += padded(product(dims), 16) * 4;
      return;
    }
    *named.tensor = make_tensor(nullptr, dtype, dims, device);
    if (config.n_shared_experts > 0 && named.name.ends_with(".mlp.gate.weight")) {
      gate = named.tensor;
      return;
    }
    if (named.name.ends_with(".mlp.shared_experts.gate_up_proj.weight")) place(*gate);
    place(*named.tensor);
  });
  if (has_tied_head(config)) owned.view.lm_head = owned.view.embed_tokens;
  return owned;
}

void initialize_weights(ModelWeights& weights, const ModelConfig& config, uint64_t seed) {
  uint32_t index = 0;
  for (const NamedTensor& named : tensors_of(weights, config)) {
    dispatch_float(named.tensor->dtype,
                   [&]<class T>() { fill<T>(named, config.initializer_range, seed, index); });
    index += static_cast<uint32_t>(named.parts.size());
  }
}

ParameterCount count_parameters(const ModelConfig& config) {
  ParameterCount count;
  ModelWeights shapes;
  const std::string mtp_prefix = "model.layers.";
  walk(shapes, config, [&](const NamedTensor& named, Dims dims) {
    if (named.role == TensorRole::router_bias) return;
    const int64_t n = product(dims);
    count.total += n;
    const bool in_mtp =
        named.name.starts_with(mtp_prefix) &&
        std::stoll(named.name.substr(mtp_prefix.size())) >= config.num_hidden_layers;
    if (in_mtp)
      count.mtp += n;
    else if (named.role == TensorRole::experts)
      count.active += n / config.n_routed_experts * config.num_experts_per_tok;
    else
      count.active += n;
  });
  return count;
}

}  // namespace temper
