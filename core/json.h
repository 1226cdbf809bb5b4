// JSON through RapidJSON, with errors that name the file, the line and the column.
#pragma once

#include <rapidjson/document.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace temper {

using Json = rapidjson::Document;
using JsonValue = rapidjson::Value;

// Parses `text`. Throws UserError naming `where`,
// the line and column of the mistake and RapidJSON's reason.
Json parse_json(std::string_view text, const std::string& where);

// The member `key` of the object, or nullptr if it is absent or null.
const JsonValue* find_member(const JsonValue& object, const char* key);

// Compact text of a value; doubles are written so that they read back as the same bits.
std::string to_text(const JsonValue& value);
// The text of a string as it is, or the JSON text of anything else.
std::string value_text(const JsonValue& value);
// Indented by two spaces, with a newline at the end: config files.
std::string to_pretty_text(const JsonValue& value);

// A JSON string literal with quotes and escapes.
std::string quote_json(std::string_view text);

}  // namespace temper
