#include "data/tokenizer_export.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "data/byte_level.h"
#include "data/tokenizer_json_text.h"

namespace temper {
namespace {

constexpr const char* kBlank = "\u2581";  // sentencepiece's visible blank

bool looks_like_byte(const std::string& token) {
  return token.size() == 6 && token.starts_with("<0x") && token.back() == '>';
}

void check_lengths(const ForeignVocabulary& v) {
  const auto fits = [&](size_t length) { return length == 0 || length == v.tokens.size(); };
  if (!v.tokens.empty() && fits(v.scores.size()) && fits(v.types.size())) return;
  throw UserError({.what = "the vocabulary's lists do not have the same length",
                   .expected = std::to_string(v.tokens.size()) + " of each",
                   .found = std::to_string(v.scores.size()) + " scores, " +
                            std::to_string(v.types.size()) + " types"});
}

std::vector<TokenType> types_of(const ForeignVocabulary& v) {
  if (!v.types.empty()) return v.types;
  std::vector<TokenType> types(v.tokens.size(), TokenType::normal);
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    const auto i = static_cast<int32_t>(id);
    if (i == v.bos_id || i == v.eos_id || i == v.pad_id) types[id] = TokenType::control;
    if (i == v.unk_id) types[id] = TokenType::unknown;
    if (v.kind == VocabularyKind::sentencepiece && looks_like_byte(v.tokens[id])) {
      types[id] = TokenType::byte;
    }
  }
  return types;
}

// llama2.c writes "\n<s>\n"; the name is what stands between.
std::string without_line_ends(const std::string& text) {
  const size_t begin = text.find_first_not_of('\n'), end = text.find_last_not_of('\n');
  return begin == std::string::npos ? text : text.substr(begin, end - begin + 1);
}

// The tokens as tokenizer.json writes them, each different.
std::vector<std::string> names_of(const ForeignVocabulary& v, const std::vector<TokenType>& types) {
  std::vector<std::string> names = v.tokens;
  std::unordered_map<std::string, size_t> seen;
  for (size_t id = 0; id < names.size(); ++id) {
    std::string& name = names[id];
    if (types[id] == TokenType::control || types[id] == TokenType::unknown) {
      name = without_line_ends(name);
    } else if (v.kind == VocabularyKind::sentencepiece && types[id] == TokenType::normal) {
      for (size_t at = name.find(' '); at != std::string::npos; at = name.find(' ', at + 1)) {
        name.replace(at, 1, kBlank);
      }
    }
    // A second token of the same text cannot be reached; it keeps its id under a made-up name.
    if (!seen.emplace(name, id).second) name = "<duplicate_" + std::to_string(id) + ">";
  }
  return names;
}

struct ScoredMerge {
  float score;
  size_t left, right;
};

// Sentencepiece joins the neighbours that make the token of the best score. As ranked merges: each
// way to cut a token into two tokens, the best token first.
std::vector<std::string> merges_of_scores(const ForeignVocabulary& v,
                                          const std::vector<std::string>& names,
                                          const std::vector<TokenType>& types) {
  std::unordered_map<std::string, size_t> ids;
  for (size_t id = 0; id < names.size(); ++id) {
    if (types[id] == TokenType::normal) ids.emplace(names[id], id);
  }
  std::vector<ScoredMerge> merges;
  for (size_t id = 0; id < names.size(); ++id) {
    if (types[id] != TokenType::normal) continue;
    const std::string& name = names[id];
    const size_t first = merges.size();
    for (size_t cut = 1; cut < name.size(); ++cut) {
      const auto left = ids.find(name.substr(0, cut)), right = ids.find(name.substr(cut));
      if (left == ids.end() || right == ids.end()) continue;
      merges.push_back(
          {v.scores.empty() ? -static_cast<float>(id) : v.scores[id], left->second, right->second});
    }
    std::sort(merges.begin() + static_cast<std::ptrdiff_t>(first), merges.end(),
              [](const ScoredMerge& a, const ScoredMerge& b) {
                return std::pair(a.left, a.right) < std::pair(b.left, b.right);
              });
  }
  std::stable_sort(merges.begin(), merges.end(),
                   [](const ScoredMerge& a, const ScoredMerge& b) { return a.score > b.score; });
  std::vector<std::string> texts;
  for (const ScoredMerge& merge : merges) {
    texts.push_back(names[merge.left] + " " + names[merge.right]);
  }
  return texts;
}

void check_merges(const TokenizerText& text) {
  const std::unordered_set<std::string> names(text.names.begin(), text.names.end());
  for (const std::string& merge : text.merges) {
    const size_t blank = merge.find(' ');
    const bool known = blank != std::string::npos && names.contains(merge.substr(0, blank)) &&
                       names.contains(merge.substr(blank + 1)) &&
                       names.contains(merge.substr(0, blank) + merge.substr(blank + 1));
    if (known) continue;
    throw UserError({.what = "a merge names a token that is not in the vocabulary",
                     .found = merge,
                     .hint = "the file is damaged, or of a kind that Temper does not know"});
  }
}

}  // namespace

void write_tokenizer(const ForeignVocabulary& vocabulary, const std::filesystem::path& directory) {
  check_lengths(vocabulary);
  const bool bytes = vocabulary.kind == VocabularyKind::byte_level;
  TokenizerText text;
  text.types = types_of(vocabulary);
  text.names = names_of(vocabulary, text.types);
  text.merges = bytes ? vocabulary.merges : merges_of_scores(vocabulary, text.names, text.types);
  check_merges(text);
  write_file_atomically(directory / "tokenizer.json", tokenizer_json_text(vocabulary, text));
  write_file_atomically(directory / "tokenizer_config.json",
                        tokenizer_config_text(vocabulary, text));
}

void write_tiny_tokenizer(const std::filesystem::path& directory) {
  const ByteAlphabet alphabet;
  ForeignVocabulary v;
  v.pre = "bytes";
  for (int byte = 0; byte < 256; ++byte) {
    v.tokens.push_back(alphabet.character(static_cast<unsigned char>(byte)));
  }
  v.types.assign(256, TokenType::normal);
  for (const char* special :
       {"<|begin|>", "<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>"}) {
    v.tokens.push_back(special);
    v.types.push_back(TokenType::control);
  }
  for (const char* tag : {"<think>", "</think>", "<answer>", "</answer>"}) {
    v.tokens.push_back(tag);
    v.types.push_back(TokenType::user_defined);
  }
  require(v.tokens.size() == TinyTokenizer::kVocabSize, "the tiny tokenizer's size is fixed");
  v.bos_id = TinyTokenizer::kBegin;
  v.eos_id = TinyTokenizer::kEnd;
  v.pad_id = TinyTokenizer::kPad;
  v.chat_template =
      "{{ '<|begin|>' }}{% for message in messages %}"
      "{% if message['role'] == 'system' %}{{ '<|system|>' + message['content'] }}"
      "{% elif message['role'] == 'user' %}{{ '<|user|>' + message['content'] }}"
      "{% else %}{{ '<|assistant|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";
  write_tokenizer(v, directory);
}

}  // namespace temper
