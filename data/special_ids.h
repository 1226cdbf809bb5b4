// The ids that start, end and pad text, from the small JSON files of a model folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"

namespace temper {

struct SpecialIds {
  int32_t bos = -1;
  int32_t pad = -1;
  std::vector<int32_t> eos;  // every id that ends generation; the first is the main one

  bool is_eos(int32_t id) const {
    for (const int32_t e : eos) {
      if (e == id) return true;
    }
    return false;
  }
};

// The ids that generation_config.json and config.json of `model` name (either may be absent), in
// this order and each once. `eos_token_id` may be a number or a list, and only generation_config's
// is taken where it has one, as transformers does.
// Needs no tokenizer. Throws UserError if a file is not valid JSON or an id is not an integer.
SpecialIds read_special_ids(const std::filesystem::path& model);

}  // namespace temper
