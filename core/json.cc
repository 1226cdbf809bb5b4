#include "core/json.h"

#include <rapidjson/encodedstream.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "core/error.h"

namespace temper {
namespace {

// Builds the document. RapidJSON's own reading of "0e99" shifts by 64, so numbers come as texts;
// and its parser calls itself for what is nested, so the depth has a limit.
class Builder {
 public:
  static constexpr int kDeepest = 1000;

  explicit Builder(Json& document) : document_(document) {}

  bool Null() { return document_.Null(); }
  bool Bool(bool b) { return document_.Bool(b); }
  bool String(const char* s, rapidjson::SizeType n, bool copy) {
    return document_.String(s, n, copy);
  }
  bool Key(const char* s, rapidjson::SizeType n, bool copy) { return document_.Key(s, n, copy); }
  bool StartObject() { return deeper() && document_.StartObject(); }
  bool EndObject(rapidjson::SizeType n) { return --depth_, document_.EndObject(n); }
  bool StartArray() { return deeper() && document_.StartArray(); }
  bool EndArray(rapidjson::SizeType n) { return --depth_, document_.EndArray(n); }

  // `text` is a number by JSON's grammar and ends in a 0 byte.
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    const char* end = text + size;
    const auto is_whole = [&](auto& value) {
      const auto read = std::from_chars(text, end, value);
      return read.ptr == end && read.ec == std::errc();
    };
    uint64_t natural = 0;
    if (is_whole(natural))
      return natural >> 32 ? document_.Uint64(natural)
                           : document_.Uint(static_cast<unsigned>(natural));
    int64_t whole = 0;
    if (is_whole(whole))
      return whole == static_cast<int>(whole) ? document_.Int(static_cast<int>(whole))
                                              : document_.Int64(whole);
    const double number = std::strtod(text, nullptr);
    if (!std::isfinite(number)) return refuse("Number too big to be stored in double.");
    return document_.Double(number);
  }
  // Not called: every number comes as a text.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }

  const char* refused() const { return refused_; }

 private:
  bool refuse(const char* why) { return refused_ = why, false; }
  bool deeper() { return ++depth_ <= kDeepest || refuse("Nested more than 1000 deep."); }

  Json& document_;
  int depth_ = 0;
  const char* refused_ = nullptr;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  Json document;
  Builder builder(document);
  rapidjson::Reader reader;
  rapidjson::ParseResult result;
  auto generate = [&](Json&) {
    rapidjson::MemoryStream bytes(text.data(), text.size());
    rapidjson::EncodedInputStream<rapidjson::UTF8<>, rapidjson::MemoryStream> stream(bytes);
    result = reader.Parse<rapidjson::kParseNumbersAsStringsFlag>(stream, builder);
    return !result.IsError();
  };
  document.Populate(generate);
  if (result.IsError()) {
    const size_t offset = std::min(result.Offset(), text.size());
    const std::string_view before = text.substr(0, offset);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t column = offset - (before.rfind('\n') + 1) + 1;  // npos + 1 == 0
    const bool one_line = text.find('\n') == std::string_view::npos;
    const char* reason =
        builder.refused() ? builder.refused() : rapidjson::GetParseError_En(result.Code());
    throw UserError({.what = std::string("not valid JSON: ") + reason,
                     .where = where + (one_line ? "" : ":" + std::to_string(line)) + ", column " +
                              std::to_string(column),
                     .found = offset < text.size() ? std::string(text.substr(offset, 40))
                                                   : std::string("the end of the text"),
                     .hint = "mend the text there; in a JSONL file each line is one whole object"});
  }
  return document;
}

const JsonValue* find_member(const JsonValue& object, const char* key) {
  if (!object.IsObject()) return nullptr;
  const auto member = object.FindMember(key);
  return member == object.MemberEnd() || member->value.IsNull() ? nullptr : &member->value;
}

std::string to_text(const JsonValue& value) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  value.Accept(writer);
  return {buffer.GetString(), buffer.GetSize()};
}

std::string value_text(const JsonValue& value) {
  return value.IsString() ? std::string(value.GetString(), value.GetStringLength())
                          : to_text(value);
}

std::string to_pretty_text(const JsonValue& value) {
  rapidjson::StringBuffer buffer;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> writer(buffer);
  writer.SetIndent(' ', 2);
  value.Accept(writer);
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

std::string quote_json(std::string_view text) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  writer.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace temper
