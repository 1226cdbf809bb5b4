// Hugging Face model folders: config.json, safetensors files with an index, tokenizer files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/context.h"
#include "model/config.h"
#include "model/weights.h"

namespace temper {

// A model in memory. `config` says what was loaded: MTP modules that the folder's config.json
// promises but its files lack are taken off `num_nextn_predict_layers`, with a warning.
struct LoadedModel {
  ModelConfig config;
  OwnedWeights weights;
  std::vector<std::string> warnings;  // to be shown to the user
};

// Reads config.json and the weights of `dir`.
// Source: names and FP8 blocks as published, v3-engine 1.2. Stored F32, F16, BF16, F64 and
// block-scaled FP8 (`weight_scale_inv`) are converted.
// Types: dtype f32 or f64. Router biases are f32 always.
// Throws: UserError; one message names every tensor that is missing, unexpected, mis-shaped,
// truncated or of a type that cannot be converted.
LoadedModel load_model(Context& ctx, const std::filesystem::path& dir, DType dtype);

// The same with a config at hand; lowers config.num_nextn_predict_layers as above.
OwnedWeights load_weights(Context& ctx, const std::filesystem::path& dir, ModelConfig& config,
                          DType dtype, std::vector<std::string>* warnings);

// How weights are stored.
enum class StoredAs {
  f32,
  f64,
  bf16,
  fp8,  // V3's form: linear layers E4M3 with a scale a 128x128 block, the rest BF16
};

struct SaveOptions {
  StoredAs stored_as = StoredAs::f32;
  int64_t max_shard_bytes = int64_t{5} << 30;  // a tensor larger than this has a file of its own
  // Tokenizer, chat template and generation_config.json are copied from here; "": none.
  std::filesystem::path tokenizer_from = {};
};

// Writes config.json, model*.safetensors (with an index if there are several) and the tokenizer
// files into the existing folder `dir`. Router biases are written as F32 always.
// Throws: SystemError. A half-written folder is left behind then: use save_model.
void write_model_files(ModelWeights& weights, const ModelConfig& config,
                       const std::filesystem::path& dir, const SaveOptions& options);

// write_model_files() into a temporary folder beside `dir`, which is then synced and renamed to
// `dir`: a reader sees the old folder or the new one, never half of one.
void save_model(ModelWeights& weights, const ModelConfig& config, const std::filesystem::path& dir,
                const SaveOptions& options);

// Writes the model folder `from` again as `to` in another type or shard size, row band by row band:
// the memory taken does not grow with the model. `to` may be `from`. Returns what was written.
// Throws as load_model and save_model do.
ModelConfig rewrite_model(const std::filesystem::path& from, const std::filesystem::path& to,
                          const SaveOptions& options, std::vector<std::string>* warnings);

// Copies the tokenizer files that `from` has into `to`.
void copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace temper
