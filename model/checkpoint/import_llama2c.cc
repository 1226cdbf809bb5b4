#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "model/checkpoint/import.h"
#include "model/checkpoint/staging_folder.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// The seven int32 at the start of the file.
struct Header {
  int32_t dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len;
};

[[noreturn]] void fail(const fs::path& path, const std::string& what, const std::string& expected,
                       const std::string& found) {
  throw UserError({.what = what,
                   .where = path.string(),
                   .expected = expected,
                   .found = found,
                   .hint = "Temper reads GGUF files and llama2.c files of version 0"});
}

Header read_header(const MappedFile& file) {
  Header header{};
  if (file.size() < sizeof header)
    fail(file.path(), "not a llama2.c file", "28 bytes of header",
         std::to_string(file.size()) + " bytes");
  std::memcpy(&header, file.data(), sizeof header);
  const bool sane = header.dim > 0 && header.hidden_dim > 0 && header.n_layers > 0 &&
                    header.n_heads > 0 && header.n_kv_heads > 0 && header.vocab_size != 0 &&
                    header.seq_len > 0 && header.dim % header.n_heads == 0 &&
                    header.n_heads % header.n_kv_heads == 0 && header.dim / header.n_heads % 2 == 0;
  if (!sane)
    fail(file.path(), "not a llama2.c file of version 0",
         "dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len",
         "numbers that are no model's");
  return header;
}

ModelConfig config_of(const Header& header) {
  ModelConfig config;
  config.model_type = "llama";
  config.attention = AttentionKind::gqa;
  config.hidden_size = header.dim;
  config.intermediate_size = header.hidden_dim;
  config.num_hidden_layers = header.n_layers;
  config.num_attention_heads = header.n_heads;
  config.num_key_value_heads = header.n_kv_heads;
  config.head_dim = header.dim / header.n_heads;
  // A negative size says that the head has weights of its own.
  config.vocab_size = std::abs(header.vocab_size);
  config.tie_word_embeddings = header.vocab_size > 0;
  config.max_position_embeddings = header.seq_len;
  config.rms_norm_eps = 1e-5;  // not in the file: llama2.c's constants
  config.bos_token_id = 1;
  config.eos_token_id = {2};
  return config;
}

// Takes tensors off the front of the file.
class Reader {
 public:
  Reader(const MappedFile& file, const ModelConfig& config)
      : config_(config),
        path_(file.path()),
        at_(file.data() + sizeof(Header)),
        end_(file.data() + file.size()) {}

  void read(const Tensor& tensor) {
    std::memcpy(tensor.data, take(tensor.numel()), 4 * count(tensor));
  }

  // Query and key rows lie with the pairs of a rotation side by side.
  void read_rotated(Tensor& tensor, int64_t heads) {
    std::vector<float> pairs(count(tensor));
    std::memcpy(pairs.data(), take(tensor.numel()), 4 * count(tensor));
    pairs_to_halves(pairs.data(), tensor.get<float>(), heads, config_.head_dim, tensor.cols());
  }

  void skip(int64_t n) { take(n); }

  void finish() const {
    if (at_ != end_)
      fail(path_, "the file is longer than its header explains", "",
           std::to_string(end_ - at_) + " bytes too many");
  }

 private:
  static size_t count(const Tensor& tensor) { return static_cast<size_t>(tensor.numel()); }

  const char* take(int64_t n) {
    if (end_ - at_ < 4 * n)
      fail(path_, "the file is cut short", std::to_string(4 * n) + " more bytes",
           std::to_string(end_ - at_));
    const char* taken = at_;
    at_ += 4 * n;
    return taken;
  }

  const ModelConfig& config_;
  const fs::path& path_;
  const char* at_;
  const char* end_;
};

void read_weights(Reader& reader, ModelWeights& weights, const ModelConfig& config) {
  auto& layers = weights.layers;
  const int64_t inner = config.intermediate_size;
  reader.read(weights.embed_tokens);
  for (auto& layer : layers) reader.read(layer.input_layernorm);
  for (auto& layer : layers) reader.read_rotated(layer.gqa.q_proj, config.num_attention_heads);
  for (auto& layer : layers) reader.read_rotated(layer.gqa.k_proj, config.num_key_value_heads);
  for (auto& layer : layers) reader.read(layer.gqa.v_proj);
  for (auto& layer : layers) reader.read(layer.gqa.o_proj);
  for (auto& layer : layers) reader.read(layer.post_attention_layernorm);
  for (auto& layer : layers) reader.read(layer.mlp.gate_up_proj.slice_rows(0, inner));
  for (auto& layer : layers) reader.read(layer.mlp.down_proj);
  for (auto& layer : layers) reader.read(layer.mlp.gate_up_proj.slice_rows(inner, inner));
  reader.read(weights.norm);
  // Tables of cosines and sines, which every reader recomputes.
  reader.skip(config.max_position_embeddings * config.head_dim);
  if (!config.tie_word_embeddings) reader.read(weights.lm_head);
  reader.finish();
}

fs::path find_tokenizer(const fs::path& model, int64_t vocab_size) {
  const fs::path named = model.parent_path() / ("tok" + std::to_string(vocab_size) + ".bin");
  if (fs::exists(named)) return named;
  const fs::path common = model.parent_path() / "tokenizer.bin";
  if (fs::exists(common)) return common;
  throw UserError({.what = "no tokenizer for this llama2.c model",
                   .where = model.string(),
                   .expected = named.filename().string() + " or tokenizer.bin beside it",
                   .hint = "name the file with --tokenizer"});
}

}  // namespace

ImportedModel import_llama2c(Context&, const fs::path& path, const fs::path& tokenizer) {
  const MappedFile file(path);
  ImportedModel model;
  model.config = config_of(read_header(file));
  const fs::path vocabulary =
      tokenizer.empty() ? find_tokenizer(path, model.config.vocab_size) : tokenizer;
  model.vocabulary = read_llama2c_vocabulary(vocabulary, model.config.vocab_size);
  // The sum of the shapes is checked before memory is taken for an absurd header.
  const int64_t least = count_parameters(model.config).total * 4;
  if (static_cast<int64_t>(file.size()) < least)
    fail(path, "the file is cut short", "at least " + std::to_string(least) + " bytes",
         std::to_string(file.size()));
  model.weights = allocate_weights(model.config, DType::f32);
  Reader reader(file, model.config);
  read_weights(reader, model.weights.view, model.config);
  return model;
}

void save_imported(ImportedModel& model, const fs::path& dir, const SaveOptions& options) {
  StagingFolder staging(dir);
  write_model_files(model.weights.view, model.config, staging.path(), options);
  write_tokenizer(model.vocabulary, staging.path());
  staging.commit();
}

}  // namespace temper
