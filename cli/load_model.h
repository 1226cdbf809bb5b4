// What every subcommand that computes starts with: config, weights and tokenizer of --model.
#pragma once

#include <filesystem>
#include <optional>

#include "core/context.h"
#include "core/log.h"
#include "data/tokenizer.h"
#include "model/checkpoint/hf_folder.h"

namespace temper {

struct ModelInUse {
  std::filesystem::path path;
  ModelConfig config;
  OwnedWeights weights;
  std::optional<Tokenizer> tokenizer;  // absent where the folder has none

  // Throws UserError if the folder has no tokenizer.
  const Tokenizer& need_tokenizer() const;
};

// A loaded model with the tokenizer of its folder. Shows the warnings, and checks that the
// tokenizer fits the model.
ModelInUse in_use(const std::filesystem::path& dir, LoadedModel loaded, Logger& log);

// Loads the language model of the folder, shows its warnings, and checks that the tokenizer fits
// the model. Throws UserError naming what is wrong with the folder.
ModelInUse load_model_in_use(Context& ctx, const std::filesystem::path& dir, DType dtype,
                             Logger& log);

}  // namespace temper
