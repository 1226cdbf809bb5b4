#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "data/tokenizer_export.h"

namespace temper {

ForeignVocabulary read_llama2c_vocabulary(const std::filesystem::path& path, int64_t vocab_size) {
  const std::string content = read_file(path);
  size_t at = 0;
  const auto take = [&](void* out, size_t bytes) {
    if (content.size() - at < bytes) {
      throw UserError({.what = "the tokenizer file ends too early",
                       .where = path.string(),
                       .expected = std::to_string(vocab_size) + " tokens",
                       .found = std::to_string(content.size()) + " bytes",
                       .hint = "is this the tokenizer of that model?"});
    }
    std::memcpy(out, content.data() + at, bytes);
    at += bytes;
  };
  uint32_t longest = 0;
  take(&longest, sizeof(longest));
  ForeignVocabulary vocabulary;
  vocabulary.kind = VocabularyKind::sentencepiece;
  for (int64_t id = 0; id < vocab_size; ++id) {
    float score = 0;
    int32_t length = 0;
    take(&score, sizeof(score));
    take(&length, sizeof(length));
    std::string token(
        length < 0 ? 0 : std::min<size_t>(static_cast<size_t>(length), content.size() - at + 1),
        '\0');
    take(token.data(), token.size());
    vocabulary.tokens.push_back(std::move(token));
    vocabulary.scores.push_back(score);
  }
  vocabulary.unk_id = 0;
  vocabulary.bos_id = 1;
  vocabulary.eos_id = 2;
  vocabulary.add_bos = true;
  return vocabulary;
}

}  // namespace temper
