#include "data/normalizer.h"

#include <utility>

#include "core/error.h"
#include "core/utf8.h"
#include "data/json_fields.h"

namespace temper {

Normalizer::Normalizer(const JsonValue* json, const std::string& where) {
  if (json != nullptr) read(*json, where);
}

void Normalizer::read(const JsonValue& json, const std::string& where) {
  const std::string type = string_field(json, "type");
  if (type == "Sequence") {
    if (const JsonValue* list = find_member(json, "normalizers"); list && list->IsArray()) {
      for (const JsonValue& member : list->GetArray()) read(member, where);
    }
    return;
  }
  Step step{};
  if (type == "Prepend") {
    step.kind = Kind::prepend;
    step.content = string_field(json, "prepend");
  } else if (type == "Replace") {
    step.kind = Kind::replace;
    step.content = string_field(json, "content");
    const JsonValue* pattern = find_member(json, "pattern");
    step.literal = pattern ? string_field(*pattern, "String") : "";
    if (step.literal.empty()) {
      step.regex.emplace_back(pattern ? string_field(*pattern, "Regex") : "", where);
    }
  } else if (type == "NFC") {
    step.kind = Kind::nfc;
    step.nfc.emplace_back();
  } else if (type == "Strip") {
    step.kind = Kind::strip;
    step.left = bool_field(json, "strip_left", true);
    step.right = bool_field(json, "strip_right", true);
  } else {
    throw UserError({.what = "this kind of normalizer is not supported",
                     .where = where + ", normalizer",
                     .expected = "Sequence, Prepend, Replace, NFC or Strip",
                     .found = type});
  }
  steps_.push_back(std::move(step));
}

void Normalizer::apply(AlignedText& text, Regex::Scratch& scratch) const {
  for (const Step& step : steps_) {
    if (text.text.empty()) return;
    switch (step.kind) {
      case Kind::prepend: {
        AlignedBuilder builder(text);
        builder.put(step.content, 0);
        builder.keep(0, text.text.size());
        text = builder.finish();
        break;
      }
      case Kind::replace:
        replace(step, text, scratch);
        break;
      case Kind::nfc:
        step.nfc[0].apply(text);
        break;
      case Kind::strip:
        strip(step, text);
        break;
    }
  }
}

void Normalizer::replace(const Step& step, AlignedText& text, Regex::Scratch& scratch) {
  AlignedBuilder builder(text);
  size_t at = 0;
  Regex::Match match;
  const auto find = [&](size_t from) {
    if (!step.regex.empty()) return step.regex[0].find(text.text, from, scratch, match);
    match.begin = text.text.find(step.literal, from);
    match.end = match.begin + step.literal.size();
    return match.begin != std::string::npos;
  };
  while (at < text.text.size() && find(at) && match.end > match.begin) {
    builder.keep(at, match.begin);
    builder.put(step.content, match.begin);
    at = match.end;
  }
  if (at == 0) return;
  builder.keep(at, text.text.size());
  text = builder.finish();
}

void Normalizer::strip(const Step& step, AlignedText& text) {
  size_t begin = 0, end = 0, at = 0;
  bool leading = true;
  while (at < text.text.size()) {
    const Utf8Step c = read_utf8(text.text, at);
    at += c.length;
    if (!is_unicode_space(c.code)) {
      leading = false;
      end = at;
    } else if (leading) {
      begin = at;
    }
  }
  if (!step.left) begin = 0;
  if (!step.right) end = text.text.size();
  AlignedBuilder builder(text);
  if (begin < end) builder.keep(begin, end);
  text = builder.finish();
}

}  // namespace temper
