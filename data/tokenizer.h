// Text to token ids and back, exactly as Hugging Face's tokenizers does for the same files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/aligned_text.h"
#include "data/special_ids.h"

namespace temper {

struct EncodeOptions {
  bool add_special = false;   // put what the post-processor adds: most often BOS in front
  bool parse_special = true;  // text that spells a special token becomes that token
};

struct DecodeOptions {
  bool skip_special = false;  // leave out special tokens
};

// Token ids and the part of the text each covers (empty for those that were added).
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<TextRange> ranges;
};

// The tokenizer of a model folder: tokenizer.json with a BPE model (byte-level, or characters with
// byte fallback), and the special ids of tokenizer_config.json, generation_config.json and
// config.json. Immutable: any number of threads may use one.
class Tokenizer {
 public:
  // Loads `model`/tokenizer.json. Throws UserError if the folder has none, if it is damaged, or if
  // it needs a kind of model, normalizer or pre-tokenizer that Temper does not have.
  explicit Tokenizer(const std::filesystem::path& model);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Whether the folder has a tokenizer.json; models that are driven by ids may have none.
  static bool exists(const std::filesystem::path& model);

  // The ids of `text`. Bytes that are not UTF-8 are read as U+FFFD.
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  // The same with the place of each token in `text` (in the repaired text where it was not UTF-8).
  Encoding encode_with_ranges(std::string_view text, EncodeOptions options = {}) const;

  // The text of `ids`; ill-formed UTF-8 becomes U+FFFD. Ids without a token give no text.
  std::string decode(std::span<const int32_t> ids, DecodeOptions options = {}) const;

  // The bytes that the token stands for in text; "" for ids without a token.
  std::string_view bytes(int32_t id) const;
  // The token as the vocabulary writes it; "" for ids without a token.
  const std::string& token_text(int32_t id) const;
  // The id of the token that the vocabulary writes so, or -1.
  int32_t token_id(std::string_view text) const;
  bool is_special(int32_t id) const;
  bool is_added(int32_t id) const;
  // Whether decoding drops one blank at the start of a text (sentencepiece-like vocabularies).
  bool strips_leading_blank() const;

  // One more than the largest id.
  int32_t vocab_size() const;
  // -1 where the model has none.
  int32_t bos_id() const { return special_.bos; }
  int32_t pad_id() const { return special_.pad; }
  // Every id that ends generation, the main one first; empty where the model names none.
  const std::vector<int32_t>& eos_ids() const { return special_.eos; }
  bool is_eos(int32_t id) const { return special_.is_eos(id); }
  // Whether encode() with add_special starts with BOS.
  bool adds_bos() const;
  // The chat template (Jinja text) of tokenizer_config.json or chat_template.jinja, "" for none.
  const std::string& chat_template() const;
  const std::filesystem::path& path() const;

  // Throws UserError if a model with embeddings of `model_vocab_size` tokens has no place for all
  // of this tokenizer's. A few places too many are usual (padding, 5 % at most in published
  // models); if there are more, returns a warning, else "".
  std::string check_fits(int64_t model_vocab_size) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  SpecialIds special_;
};

}  // namespace temper
