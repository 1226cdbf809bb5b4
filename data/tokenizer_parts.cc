#include "data/tokenizer_parts.h"

#include <cstdlib>
#include <string_view>
#include <unordered_map>

#include "core/error.h"
#include "core/file.h"
#include "core/utf8.h"
#include "data/byte_level.h"
#include "data/json_fields.h"

namespace temper {
namespace {

using IdMap = std::unordered_map<std::string_view, int32_t>;

constexpr int32_t kLargestId = 1 << 24;  // a larger one is damage, not a vocabulary

std::string_view view_of(const JsonValue& value) {
  return {value.GetString(), value.GetStringLength()};
}

[[noreturn]] void damaged(const std::string& what, const std::string& where,
                          const std::string& found) {
  throw UserError({.what = what,
                   .where = where,
                   .found = found,
                   .hint = "download or convert the tokenizer again"});
}

void put_text(TokenizerParts& parts, int32_t id, std::string_view text, const std::string& where) {
  if (id < 0 || id > kLargestId) damaged("a token's id is out of range", where, std::string(text));
  if (parts.texts.size() <= static_cast<size_t>(id)) {
    parts.texts.resize(static_cast<size_t>(id) + 1);
  }
  parts.texts[static_cast<size_t>(id)] = text;
}

IdMap read_vocabulary(const JsonValue& model, TokenizerParts& parts, const std::string& where) {
  const JsonValue* vocab = find_member(model, "vocab");
  if (vocab == nullptr || !vocab->IsObject()) damaged("the model has no vocab", where, "");
  IdMap ids;
  ids.reserve(vocab->MemberCount());
  for (const auto& entry : vocab->GetObject()) {
    if (!entry.value.IsInt()) damaged("a token's id is no integer", where, text_of(entry.name));
    put_text(parts, entry.value.GetInt(), view_of(entry.name), where + ", vocab");
    ids.emplace(view_of(entry.name), entry.value.GetInt());
  }
  return ids;
}

// A merge is "a b" or ["a", "b"].
void read_merges(const JsonValue& model, const IdMap& ids, BpeModel& bpe,
                 const std::string& where) {
  const JsonValue* merges = find_member(model, "merges");
  if (merges == nullptr || !merges->IsArray()) damaged("the model has no merges", where, "");
  std::string whole;
  for (const JsonValue& merge : merges->GetArray()) {
    std::string_view left, right;
    if (merge.IsString()) {
      const std::string_view text = view_of(merge);
      const size_t blank = text.find(' ');
      left = text.substr(0, blank);
      if (blank != std::string_view::npos) right = text.substr(blank + 1);
    } else if (merge.IsArray() && merge.Size() == 2 && merge[0].IsString() && merge[1].IsString()) {
      left = view_of(merge[0]);
      right = view_of(merge[1]);
    }
    whole.assign(left).append(right);
    const auto a = ids.find(left), b = ids.find(right), joined = ids.find(whole);
    if (a == ids.end() || b == ids.end() || joined == ids.end()) {
      damaged("a merge names a token that is not in the vocabulary", where, to_text(merge));
    }
    bpe.merges.emplace_back(a->second, b->second);
    bpe.merged.push_back(joined->second);
  }
}

void read_added(const JsonValue& json, TokenizerParts& parts, const std::string& where) {
  const JsonValue* list = find_member(json, "added_tokens");
  if (list == nullptr || !list->IsArray()) return;
  for (const JsonValue& entry : list->GetArray()) {
    const JsonValue* id = find_member(entry, "id");
    if (id == nullptr || !id->IsInt()) damaged("an added token has no id", where, to_text(entry));
    AddedToken token;
    token.id = id->GetInt();
    token.content = string_field(entry, "content");
    token.special = bool_field(entry, "special", false);
    token.normalized = bool_field(entry, "normalized", !token.special);
    token.lstrip = bool_field(entry, "lstrip", false);
    token.rstrip = bool_field(entry, "rstrip", false);
    token.single_word = bool_field(entry, "single_word", false);
    put_text(parts, token.id, token.content, where + ", added_tokens");
    parts.added.push_back(std::move(token));
  }
}

// What a decoder of a character-level vocabulary does to each token.
struct TokenDecoder {
  std::vector<std::pair<std::string, std::string>> replacements;
  bool bytes = false;
};

void read_decoder(const JsonValue& json, TokenDecoder& decoder, TokenizerParts& parts,
                  const std::string& where) {
  const std::string type = string_field(json, "type");
  if (type == "Sequence") {
    if (const JsonValue* list = find_member(json, "decoders"); list && list->IsArray()) {
      for (const JsonValue& member : list->GetArray()) read_decoder(member, decoder, parts, where);
    }
  } else if (type == "Replace") {
    const JsonValue* pattern = find_member(json, "pattern");
    decoder.replacements.emplace_back(pattern ? string_field(*pattern, "String") : "",
                                      string_field(json, "content"));
  } else if (type == "ByteFallback") {
    decoder.bytes = true;
  } else if (type == "Metaspace") {
    decoder.replacements.emplace_back(string_field(json, "replacement", "\u2581"), " ");
    const bool prefix = bool_field(json, "add_prefix_space", true);
    const std::string scheme = string_field(json, "prepend_scheme", prefix ? "always" : "never");
    parts.strips_leading_blank = scheme != "never";
  } else if (type == "Strip") {
    const JsonValue* start = find_member(json, "start");
    if (string_field(json, "content") == " " && start && start->IsInt() && start->GetInt() > 0) {
      parts.strips_leading_blank = true;
    }
  } else if (type != "ByteLevel" && type != "Fuse") {
    throw UserError({.what = "this kind of decoder is not supported",
                     .where = where + ", decoder",
                     .expected = "Sequence, ByteLevel, Replace, ByteFallback, Metaspace, Strip",
                     .found = type});
  }
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  if (from.empty()) return;
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

std::string decode_token(const std::string& text, const TokenDecoder& decoder) {
  if (decoder.bytes && text.size() == 6 && text.starts_with("<0x") && text.back() == '>') {
    return {static_cast<char>(std::strtol(text.substr(3, 2).c_str(), nullptr, 16))};
  }
  std::string bytes = text;
  for (const auto& [from, to] : decoder.replacements) replace_all(bytes, from, to);
  return bytes;
}

void map_to_bytes(const JsonValue& json, TokenizerParts& parts, const std::string& where) {
  TokenDecoder decoder;
  if (const JsonValue* member = find_member(json, "decoder")) {
    read_decoder(*member, decoder, parts, where);
  }
  const ByteAlphabet alphabet;
  std::vector<bool> usable(parts.texts.size(), true);
  parts.bytes.resize(parts.texts.size());
  for (size_t id = 0; id < parts.texts.size(); ++id) {
    if (!parts.model.byte_level) {
      parts.bytes[id] = decode_token(parts.texts[id], decoder);
    } else if (!alphabet.to_bytes(parts.texts[id], parts.bytes[id])) {
      parts.bytes[id] = parts.texts[id];
      usable[id] = false;  // no bytes spell it, so merges cannot reach it
    }
  }
  for (const AddedToken& token : parts.added) {
    parts.bytes[static_cast<size_t>(token.id)] = token.content;
    if (token.special) usable[static_cast<size_t>(token.id)] = false;
  }
  parts.model.tokens = parts.model.byte_level ? parts.bytes : parts.texts;
  parts.model.usable = std::move(usable);
}

void read_post_processor(const JsonValue& json, TokenizerParts& parts, const IdMap& ids) {
  const std::string type = string_field(json, "type");
  if (type == "Sequence") {
    if (const JsonValue* list = find_member(json, "processors"); list && list->IsArray()) {
      for (const JsonValue& member : list->GetArray()) read_post_processor(member, parts, ids);
    }
    return;
  }
  const JsonValue* single = find_member(json, "single");
  if (type != "TemplateProcessing" || single == nullptr || !single->IsArray()) return;
  parts.has_template = true;
  bool before = true;
  for (const JsonValue& item : single->GetArray()) {
    const JsonValue* special = find_member(item, "SpecialToken");
    if (special == nullptr) {
      before = false;
      continue;
    }
    const auto found = ids.find(string_field(*special, "id"));
    if (found != ids.end()) (before ? parts.prefix : parts.suffix).push_back(found->second);
  }
}

// Looks at every string, names of members too: a normaliser puts its own into the text, others cut
// it, and a search in text that is not well-formed may read beyond its end.
void refuse_ill_formed(const JsonValue& json, const std::string& where) {
  const auto check = [&](const JsonValue& text) {
    const std::string_view bytes(text.GetString(), text.GetStringLength());
    if (find_invalid_utf8(bytes) == std::string_view::npos) return;
    damaged("a string is not UTF-8", where, repair_utf8(bytes.substr(0, 60)));
  };
  std::vector<const JsonValue*> open{&json};
  while (!open.empty()) {
    const JsonValue& value = *open.back();
    open.pop_back();
    if (value.IsString()) check(value);
    if (value.IsArray())
      for (const JsonValue& item : value.GetArray()) open.push_back(&item);
    if (!value.IsObject()) continue;
    for (const auto& member : value.GetObject()) {
      check(member.name);
      open.push_back(&member.value);
    }
  }
}

}  // namespace

TokenizerParts read_tokenizer_json(const std::filesystem::path& path) {
  const std::string where = path.string();
  const Json json = parse_json(read_file(path), where);
  refuse_ill_formed(json, where);
  const JsonValue* model = find_member(json, "model");
  if (model == nullptr) damaged("this is no tokenizer: it has no model", where, "");
  const std::string type = string_field(*model, "type", "BPE");
  if (type != "BPE") {
    throw UserError({.what = "this kind of tokenizer model is not supported",
                     .where = where + ", model",
                     .expected = "BPE",
                     .found = type});
  }
  TokenizerParts parts;
  parts.normalizer = Normalizer(find_member(json, "normalizer"), where);
  parts.pre_tokenizer = PreTokenizer(find_member(json, "pre_tokenizer"), where);
  IdMap ids = read_vocabulary(*model, parts, where);
  BpeModel& bpe = parts.model;
  bpe.byte_level = parts.pre_tokenizer.byte_level();
  bpe.byte_fallback = bool_field(*model, "byte_fallback", false);
  bpe.ignore_merges = bool_field(*model, "ignore_merges", false);
  bpe.fuse_unk = bool_field(*model, "fuse_unk", false);
  const auto unk = ids.find(string_field(*model, "unk_token"));
  if (unk != ids.end()) bpe.unk_id = unk->second;
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (string_field(*model, affix).empty()) continue;
    throw UserError({.what = std::string(affix) + " is not supported", .where = where + ", model"});
  }
  read_merges(*model, ids, bpe, where);
  read_added(json, parts, where);
  for (const AddedToken& token : parts.added) ids.emplace(token.content, token.id);
  map_to_bytes(json, parts, where);
  if (const JsonValue* post = find_member(json, "post_processor")) {
    read_post_processor(*post, parts, ids);
  }
  return parts;
}

}  // namespace temper
