// A reward model: a decoder with a scalar head in place of its language head.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/checkpoint/hf_folder.h"

namespace temper {

// The config of a reward model on the trunk of `config`: one label, no MTP modules.
ModelConfig reward_model_config(const ModelConfig& config);

// Loads a reward model's folder as it is; of a language model it takes the trunk, and the scalar
// head starts at 0. `is_new` says which it was.
// Throws UserError naming what is wrong with the folder.
struct LoadedRewardModel {
  LoadedModel model;
  bool is_new = false;
};
LoadedRewardModel load_reward_trunk(Context& ctx, const std::filesystem::path& dir, DType dtype);

// Throws the UserError that says so of a language model's folder.
[[noreturn]] void refuse_language_model(const std::filesystem::path& dir);

// Throws UserError unless the folder holds a reward model.
LoadedModel load_reward_model(Context& ctx, const std::filesystem::path& dir, DType dtype);

}  // namespace temper
