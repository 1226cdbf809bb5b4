#include "data/pre_tokenizer.h"

#include <utility>

#include "core/error.h"
#include "core/utf8.h"
#include "data/json_fields.h"

namespace temper {
namespace {

// Source: openai/gpt-2 encoder.py, the pattern of Encoder.
constexpr const char* kGpt2Pattern =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

[[noreturn]] void unsupported(const std::string& what, const std::string& where,
                              const std::string& expected, const std::string& found) {
  throw UserError({.what = what + " is not supported",
                   .where = where + ", pre_tokenizer",
                   .expected = expected,
                   .found = found});
}

}  // namespace

PreTokenizer::PreTokenizer(const JsonValue* json, const std::string& where) {
  if (json != nullptr) read(*json, where);
}

PreTokenizer::Behavior PreTokenizer::behavior_of(const JsonValue& json, const std::string& where) {
  const std::string name = string_field(json, "behavior", "Isolated");
  if (name == "Isolated") return Behavior::isolated;
  if (name == "Removed") return Behavior::removed;
  if (name == "Contiguous") return Behavior::contiguous;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  unsupported("this behaviour of a split", where,
              "Isolated, Removed, Contiguous, MergedWithPrevious or MergedWithNext", name);
}

void PreTokenizer::read(const JsonValue& json, const std::string& where) {
  const std::string type = string_field(json, "type");
  if (type == "Sequence") {
    if (const JsonValue* list = find_member(json, "pretokenizers"); list && list->IsArray()) {
      for (const JsonValue& member : list->GetArray()) read(member, where);
    }
    return;
  }
  if (type == "ByteLevel") return read_byte_level(json);
  if (type == "Metaspace") return read_metaspace(json, where);
  Step step;
  step.behavior = behavior_of(json, where);
  if (type == "Split") {
    step.invert = bool_field(json, "invert", false);
    const JsonValue* pattern = find_member(json, "pattern");
    step.literal = pattern ? string_field(*pattern, "String") : "";
    const std::string regex = pattern ? string_field(*pattern, "Regex") : "";
    if (step.literal.empty() && regex.empty()) unsupported("an empty pattern", where, "", "");
    if (step.literal.empty()) step.regex.emplace_back(regex, where);
  } else if (type == "Digits") {
    step.regex.emplace_back(bool_field(json, "individual_digits", false) ? "\\p{N}" : "\\p{N}+",
                            where);
    step.behavior = Behavior::isolated;
  } else if (type == "Punctuation") {
    step.regex.emplace_back("[\\p{P}!-/:-@\\[-`{-~]", where);
  } else if (type == "WhitespaceSplit") {
    step.regex.emplace_back("\\s", where);
    step.behavior = Behavior::removed;
  } else {
    unsupported("this kind of pre-tokenizer", where,
                "Sequence, Split, Digits, ByteLevel, Metaspace, Punctuation or WhitespaceSplit",
                type);
  }
  steps_.push_back(std::move(step));
}

void PreTokenizer::read_byte_level(const JsonValue& json) {
  byte_level_ = true;
  const bool prefix = bool_field(json, "add_prefix_space", true);
  const bool split = bool_field(json, "use_regex", true);
  if (!prefix && !split) return;
  Step step;
  if (prefix) {
    step.prefix = Prefix::always;
    step.prefix_text = " ";
  }
  step.split = split;
  if (split) step.regex.emplace_back(kGpt2Pattern, "GPT-2's pattern");
  steps_.push_back(std::move(step));
}

void PreTokenizer::read_metaspace(const JsonValue& json, const std::string& where) {
  Step step;
  step.prefix_text = string_field(json, "replacement", "\u2581");
  step.blanks_to_prefix = true;
  const bool prefix = bool_field(json, "add_prefix_space", true);  // the form before 0.15
  const std::string scheme = string_field(json, "prepend_scheme", prefix ? "always" : "never");
  if (scheme == "always") {
    step.prefix = Prefix::always;
  } else if (scheme == "first") {
    step.prefix = Prefix::first;
  } else if (scheme != "never") {
    unsupported("this prepend_scheme", where, "always, first or never", scheme);
  }
  step.split = bool_field(json, "split", true);
  step.literal = step.prefix_text;
  step.behavior = Behavior::merged_with_next;
  steps_.push_back(std::move(step));
}

void PreTokenizer::apply(AlignedText& text, std::vector<TextRange>& pieces,
                         Regex::Scratch& scratch) const {
  pieces.clear();
  if (text.text.empty()) return;
  pieces.push_back({0, static_cast<uint32_t>(text.text.size())});
  std::vector<TextRange> next;
  for (const Step& step : steps_) {
    if (step.prefix != Prefix::never || step.blanks_to_prefix) rewrite(step, text, pieces);
    if (!step.split) continue;
    next.clear();
    for (const TextRange piece : pieces) split(step, text.text, piece, next, scratch);
    pieces.swap(next);
  }
}

void PreTokenizer::rewrite(const Step& step, AlignedText& text, std::vector<TextRange>& pieces) {
  AlignedBuilder builder(text);
  for (TextRange& piece : pieces) {
    const auto begin = static_cast<uint32_t>(builder.size());
    const std::string_view old = text.part(piece);
    const bool starts =
        old.starts_with(step.prefix_text) || (step.blanks_to_prefix && old.starts_with(' '));
    const bool wanted = step.prefix == Prefix::always ||
                        (step.prefix == Prefix::first && text.original(piece.begin) == 0);
    if (wanted && !starts) builder.put(step.prefix_text, piece.begin);
    for (uint32_t at = piece.begin; at < piece.end;) {
      uint32_t blank = piece.end;
      if (step.blanks_to_prefix) {
        const size_t found = text.part({at, piece.end}).find(' ');
        if (found != std::string_view::npos) blank = at + static_cast<uint32_t>(found);
      }
      builder.keep(at, blank);
      if (blank < piece.end) builder.put(step.prefix_text, blank);
      at = blank + 1;
    }
    piece = {begin, static_cast<uint32_t>(builder.size())};
  }
  text = builder.finish();
}

void PreTokenizer::split(const Step& step, std::string_view text, TextRange piece,
                         std::vector<TextRange>& out, Regex::Scratch& scratch) {
  const std::string_view subject = text.substr(piece.begin, piece.end - piece.begin);
  const auto whole = static_cast<uint32_t>(subject.size());
  const size_t first = out.size();
  bool after_match = false;  // whether the part before was a match
  // Each part either starts a piece or lengthens the last one, as the behaviour says.
  const auto add = [&](uint32_t begin, uint32_t end, bool found) {
    const bool match = found != step.invert;
    bool join = false;
    switch (step.behavior) {
      case Behavior::isolated:
        break;
      case Behavior::removed:
        if (match) return;
        break;
      case Behavior::contiguous:
        join = match == after_match;
        break;
      case Behavior::merged_with_previous:
        join = match && !after_match;
        break;
      case Behavior::merged_with_next:
        join = after_match && !match;
        break;
    }
    after_match = match;
    if (join && out.size() > first) {
      out.back().end = piece.begin + end;
    } else {
      out.push_back({piece.begin + begin, piece.begin + end});
    }
  };
  uint32_t at = 0, from = 0;
  Regex::Match match;
  while (from < whole) {
    if (!step.regex.empty()) {
      if (!step.regex[0].find(subject, from, scratch, match)) break;
    } else {
      match.begin = subject.find(step.literal, from);
      if (match.begin == std::string_view::npos) break;
      match.end = match.begin + step.literal.size();
    }
    const auto begin = static_cast<uint32_t>(match.begin), end = static_cast<uint32_t>(match.end);
    if (begin == end) {  // an empty match cuts nothing; look on behind the next character
      if (end >= whole) break;
      from = end + read_utf8(subject, end).length;
      continue;
    }
    if (at < begin) add(at, begin, false);
    add(begin, end, true);
    at = from = end;
  }
  if (at < whole) add(at, whole, false);
}

}  // namespace temper
