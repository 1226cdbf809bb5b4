#include "data/tokenizer.h"

#include <unordered_map>

#include "core/error.h"
#include "core/utf8.h"
#include "data/added_tokens.h"
#include "data/bpe.h"
#include "data/normalizer.h"
#include "data/pre_tokenizer.h"
#include "data/tokenizer_parts.h"

namespace temper {

struct Tokenizer::Impl {
  Impl(const std::filesystem::path& folder, TokenizerParts&& parts, TokenizerConfig&& config);

  // Working memory of one encode call.
  struct Work {
    Regex::Scratch regex;
    std::vector<AddedTokenFinder::Part> outer, inner;
    std::vector<TextRange> pieces;
    std::vector<BpeToken> tokens;
    Encoding out;

    void add(int32_t id, uint32_t begin, uint32_t end) {
      out.ids.push_back(id);
      out.ranges.push_back({begin, end});
    }
  };

  void encode_plain(std::string_view text, uint32_t base, EncodeOptions options, Work& work) const;
  void encode_pieces(AlignedText text, Work& work) const;
  bool known(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < texts.size(); }

  std::filesystem::path folder;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  AddedTokenFinder raw_finder, normalized_finder;
  std::vector<std::string> texts, bytes;
  std::vector<bool> special, added;
  std::unordered_map<std::string_view, int32_t> ids;  // of `texts`
  std::vector<int32_t> prefix, suffix;
  bool strips_leading_blank = false;
  std::string chat_template;
};

Tokenizer::Impl::Impl(const std::filesystem::path& from, TokenizerParts&& parts,
                      TokenizerConfig&& config)
    : folder(from),
      normalizer(std::move(parts.normalizer)),
      pre_tokenizer(std::move(parts.pre_tokenizer)),
      bpe(std::move(parts.model)),
      texts(std::move(parts.texts)),
      bytes(std::move(parts.bytes)),
      special(texts.size(), false),
      added(texts.size(), false),
      prefix(std::move(parts.prefix)),
      suffix(std::move(parts.suffix)),
      strips_leading_blank(parts.strips_leading_blank),
      chat_template(std::move(config.chat_template)) {
  ids.reserve(texts.size());
  for (size_t id = 0; id < texts.size(); ++id) {
    if (!texts[id].empty()) ids.emplace(texts[id], static_cast<int32_t>(id));
  }
  std::vector<AddedToken> raw, normalized;
  Regex::Scratch scratch;
  for (AddedToken& token : parts.added) {
    special[static_cast<size_t>(token.id)] = token.special;
    added[static_cast<size_t>(token.id)] = true;
    if (token.normalized && !normalizer.is_identity()) {
      AlignedText content{token.content, {}, 0};
      normalizer.apply(content, scratch);
      token.content = content.text;
      normalized.push_back(token);
    } else if (token.normalized) {
      normalized.push_back(token);
    } else {
      raw.push_back(token);
    }
  }
  raw_finder = AddedTokenFinder(std::move(raw));
  normalized_finder = AddedTokenFinder(std::move(normalized));
}

void Tokenizer::Impl::encode_plain(std::string_view text, uint32_t base, EncodeOptions options,
                                   Work& work) const {
  AlignedText aligned{std::string(text), {}, base};
  normalizer.apply(aligned, work.regex);
  normalized_finder.split(aligned.text, options.parse_special, work.regex, work.inner);
  for (const AddedTokenFinder::Part& part : work.inner) {
    const TextRange range = part.range;
    if (part.id >= 0) {
      work.add(part.id, aligned.original(range.begin), aligned.original(range.end));
    } else if (work.inner.size() == 1) {
      encode_pieces(std::move(aligned), work);
      return;
    } else {
      AlignedText piece{std::string(aligned.part(range)), {}, aligned.original(range.begin)};
      if (!aligned.origin.empty()) {
        piece.origin.assign(aligned.origin.begin() + range.begin,
                            aligned.origin.begin() + range.end + 1);
      }
      encode_pieces(std::move(piece), work);
    }
  }
}

void Tokenizer::Impl::encode_pieces(AlignedText text, Work& work) const {
  pre_tokenizer.apply(text, work.pieces, work.regex);
  for (const TextRange piece : work.pieces) {
    work.tokens.clear();
    bpe.encode(text.part(piece), work.tokens);
    uint32_t at = piece.begin;
    for (const BpeToken token : work.tokens) {
      work.add(token.id, text.original(at), text.original(at + token.length));
      at += token.length;
    }
  }
}

Tokenizer::Tokenizer(const std::filesystem::path& model) {
  const std::filesystem::path path = model / "tokenizer.json";
  if (!exists(model)) {
    throw UserError({.what = "the folder has no tokenizer.json",
                     .where = model.string(),
                     .hint = "point --model at a Hugging Face folder; GGUF and llama2.c files "
                             "become one by `temper model convert`"});
  }
  TokenizerParts parts = read_tokenizer_json(path);
  TokenizerConfig config = read_tokenizer_config(model);
  const TokenizerConfig names = config;
  const bool has_template = parts.has_template;
  impl_ = std::make_unique<Impl>(model, std::move(parts), std::move(config));
  special_ = read_special_ids(model);
  if (const int32_t bos = token_id(names.bos); bos >= 0) special_.bos = bos;
  if (const int32_t pad = token_id(names.pad); pad >= 0) special_.pad = pad;
  if (const int32_t eos = token_id(names.eos); eos >= 0 && !special_.is_eos(eos)) {
    special_.eos.push_back(eos);
  }
  if (has_template) return;
  if (names.add_bos && special_.bos >= 0) impl_->prefix = {special_.bos};
  if (names.add_eos && !special_.eos.empty()) impl_->suffix = {special_.eos[0]};
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

bool Tokenizer::exists(const std::filesystem::path& model) {
  return std::filesystem::exists(model / "tokenizer.json");
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  return encode_with_ranges(text, options).ids;
}

Encoding Tokenizer::encode_with_ranges(std::string_view text, EncodeOptions options) const {
  std::string repaired;
  if (find_invalid_utf8(text) != std::string_view::npos) {
    repaired = repair_utf8(text);
    text = repaired;
  }
  Impl::Work work;
  if (options.add_special) {
    for (const int32_t id : impl_->prefix) work.add(id, 0, 0);
  }
  impl_->raw_finder.split(text, options.parse_special, work.regex, work.outer);
  for (const AddedTokenFinder::Part& part : work.outer) {
    const TextRange range = part.range;
    if (part.id >= 0) {
      work.add(part.id, range.begin, range.end);
    } else {
      impl_->encode_plain(text.substr(range.begin, range.end - range.begin), range.begin, options,
                          work);
    }
  }
  if (options.add_special) {
    const auto end = static_cast<uint32_t>(text.size());
    for (const int32_t id : impl_->suffix) work.add(id, end, end);
  }
  return std::move(work.out);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, DecodeOptions options) const {
  std::string text;
  for (const int32_t id : ids) {
    if (!options.skip_special || !is_special(id)) text += bytes(id);
  }
  if (impl_->strips_leading_blank && text.starts_with(' ')) text.erase(0, 1);
  return repair_utf8(text);
}

std::string_view Tokenizer::bytes(int32_t id) const {
  return impl_->known(id) ? std::string_view(impl_->bytes[static_cast<size_t>(id)])
                          : std::string_view();
}

const std::string& Tokenizer::token_text(int32_t id) const {
  static const std::string kNothing;
  return impl_->known(id) ? impl_->texts[static_cast<size_t>(id)] : kNothing;
}

int32_t Tokenizer::token_id(std::string_view text) const {
  const auto found = impl_->ids.find(text);
  return found == impl_->ids.end() ? -1 : found->second;
}

bool Tokenizer::is_special(int32_t id) const {
  return impl_->known(id) && impl_->special[static_cast<size_t>(id)];
}

bool Tokenizer::is_added(int32_t id) const {
  return impl_->known(id) && impl_->added[static_cast<size_t>(id)];
}

bool Tokenizer::strips_leading_blank() const {
  return impl_->strips_leading_blank;
}
int32_t Tokenizer::vocab_size() const {
  return static_cast<int32_t>(impl_->texts.size());
}

bool Tokenizer::adds_bos() const {
  return special_.bos >= 0 && !impl_->prefix.empty() && impl_->prefix[0] == special_.bos;
}

const std::string& Tokenizer::chat_template() const {
  return impl_->chat_template;
}
const std::filesystem::path& Tokenizer::path() const {
  return impl_->folder;
}

std::string Tokenizer::check_fits(int64_t model_vocab_size) const {
  constexpr double kLeast = 0.9;
  if (static_cast<double>(vocab_size()) < kLeast * static_cast<double>(model_vocab_size))
    return "the tokenizer has " + std::to_string(vocab_size()) + " tokens, but the model " +
           std::to_string(model_vocab_size) + ": is " + (path() / "tokenizer.json").string() +
           " the one that was published with the model?";
  if (vocab_size() <= model_vocab_size) return "";
  throw UserError({.what = "the tokenizer does not match the model: it has ids that the model "
                           "has no embedding for",
                   .where = (path() / "tokenizer.json").string(),
                   .expected = "at most " + std::to_string(model_vocab_size) +
                               " tokens (config.json, vocab_size)",
                   .found = std::to_string(vocab_size()) + " tokens",
                   .hint = "use the tokenizer files that were published with the model"});
}

}  // namespace temper
