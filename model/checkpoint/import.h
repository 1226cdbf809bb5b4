// Models in other formats than Hugging Face's: GGUF and llama2.c.
#pragma once

#include <filesystem>

#include "core/context.h"
#include "data/tokenizer_export.h"
#include "model/checkpoint/hf_folder.h"

namespace temper {

struct ImportedModel {
  ModelConfig config;
  OwnedWeights weights;  // f32
  ForeignVocabulary vocabulary;
};

// Reads a GGUF file of the llama architecture, its tokenizer and chat template. Query and key rows,
// which GGUF keeps with the pairs of a rotation side by side, are put back into halves.
// Throws UserError: another architecture, a feature that llama models here lack (experts), or
// tensors missing, unexpected or mis-shaped, all named in one message.
ImportedModel import_gguf(Context& ctx, const std::filesystem::path& path);

// Reads a llama2.c version 0 file (seven int32, then float32 weights) and its tokenizer file; an
// empty `tokenizer` means tok<vocab_size>.bin or tokenizer.bin beside the model.
// Source: github.com/karpathy/llama2.c, export.py legacy_export.
// Throws UserError: a header out of range, a length that the header does not explain, no tokenizer.
ImportedModel import_llama2c(Context& ctx, const std::filesystem::path& path,
                             const std::filesystem::path& tokenizer);

// Rows [out, in] of a query or key projection (or its bias, in = 1) from pairs side by side to
// halves: target row h*D + half*D/2 + j = source row h*D + 2j + half.
// Shapes: source, target [heads * head_dim, in]. Aliasing: none.
void pairs_to_halves(const float* source, float* target, int64_t heads, int64_t head_dim,
                     int64_t in);

// Whether the file starts with GGUF's letters.
bool is_gguf(const std::filesystem::path& path);

// Writes an imported model as a Hugging Face folder with its tokenizer, atomically as save_model.
// Throws SystemError; UserError for a tokenizer that cannot be written.
void save_imported(ImportedModel& model, const std::filesystem::path& dir,
                   const SaveOptions& options);

}  // namespace temper
