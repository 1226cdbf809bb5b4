// Writing tokenizers: vocabularies of other formats become a Hugging Face tokenizer.json with a
// tokenizer_config.json, so that there is one tokenizer reader and transformers can load the
// folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace temper {

// What a token of a foreign vocabulary is; the numbers are GGUF's `tokenizer.ggml.token_type`.
enum class TokenType : int32_t {
  normal = 1,
  unknown = 2,
  control = 3,       // becomes a special added token
  user_defined = 4,  // becomes an added token that is not special
  unused = 5,
  byte = 6,  // "<0x0A>": one raw byte of a sentencepiece vocabulary
};

// How the vocabulary splits text.
enum class VocabularyKind {
  byte_level,     // GGUF "gpt2": byte-level BPE, tokens in GPT-2's byte alphabet, explicit merges
  sentencepiece,  // GGUF "llama", llama2.c: characters with byte fallback, merges ranked by score
};

// A vocabulary as GGUF and llama2.c files store it. The token's id is its index.
struct ForeignVocabulary {
  VocabularyKind kind = VocabularyKind::byte_level;
  std::string pre;                  // GGUF `tokenizer.ggml.pre`: gpt-2, smollm, llama-bpe, ...
  std::vector<std::string> tokens;  // sentencepiece: with U+2581 or a plain space for blanks
  std::vector<float> scores;        // sentencepiece: the higher, the earlier merged
  std::vector<TokenType> types;     // empty: guessed from the token's text
  std::vector<std::string> merges;  // byte_level: "a b", the earliest merge first
  int32_t bos_id = -1, eos_id = -1, unk_id = -1, pad_id = -1;
  bool add_bos = false;
  bool add_space_prefix = true;  // sentencepiece: text starts as if a blank stood before it
  std::string chat_template;     // Jinja text, "" for none
};

// Writes tokenizer.json and tokenizer_config.json into the existing folder `directory`.
// Throws UserError for a `pre` that is not known, merges of tokens that are not in the vocabulary,
// or lists of different lengths; SystemError if a file cannot be written.
void write_tokenizer(const ForeignVocabulary& vocabulary, const std::filesystem::path& directory);

// Reads a llama2.c tokenizer file (u32 longest token, then float score, i32 length, bytes a token)
// of `vocab_size` tokens; <unk>, <s>, </s> are 0, 1, 2. Throws UserError if it is cut short.
ForeignVocabulary read_llama2c_vocabulary(const std::filesystem::path& path, int64_t vocab_size);

// The ids of the built-in tiny byte-level tokenizer: byte b is token b, then these.
struct TinyTokenizer {
  static constexpr int32_t kBegin = 256;
  static constexpr int32_t kEnd = 257;
  static constexpr int32_t kPad = 258;
  static constexpr int32_t kSystem = 259;
  static constexpr int32_t kUser = 260;
  static constexpr int32_t kAssistant = 261;
  static constexpr int32_t kThinkBegin = 262;
  static constexpr int32_t kThinkEnd = 263;
  static constexpr int32_t kAnswerBegin = 264;
  static constexpr int32_t kAnswerEnd = 265;
  static constexpr int32_t kVocabSize = 266;
};

// Writes the built-in tokenizer (256 bytes, no merges, the added tokens above) into `directory`,
// with the chat template `temper` in its tokenizer_config.json. Throws SystemError.
void write_tiny_tokenizer(const std::filesystem::path& directory);

}  // namespace temper
