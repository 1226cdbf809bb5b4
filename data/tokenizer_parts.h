// What a tokenizer.json holds, read but not yet put together. Used by Tokenizer only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/added_tokens.h"
#include "data/bpe.h"
#include "data/normalizer.h"
#include "data/pre_tokenizer.h"

namespace temper {

struct TokenizerParts {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  BpeModel model;
  std::vector<AddedToken> added;
  std::vector<std::string> texts;       // by id, as the vocabulary writes them
  std::vector<std::string> bytes;       // by id, what they stand for in text
  std::vector<int32_t> prefix, suffix;  // what the post-processor puts around a text
  bool has_template = false;            // whether the post-processor said what to put around
  bool strips_leading_blank = false;    // decoding drops one blank at the start
};

// Reads the file. Throws UserError naming it for damage and for parts that are not supported.
TokenizerParts read_tokenizer_json(const std::filesystem::path& path);

// What tokenizer_config.json says (all empty if the folder has none).
struct TokenizerConfig {
  std::string bos, eos, pad;  // token texts
  bool add_bos = false, add_eos = false;
  std::string chat_template;  // that of chat_template.jinja where the folder has one
};

// Throws UserError if a file is not valid JSON.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& model);

}  // namespace temper
