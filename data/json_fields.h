// Reading optional members of a JSON object with a default.
#pragma once

#include <string>

#include "core/json.h"

namespace temper {

// The string member `key`, or `otherwise` if it is absent or no string.
inline std::string string_field(const JsonValue& object, const char* key,
                                const std::string& otherwise = "") {
  const JsonValue* member = find_member(object, key);
  if (member == nullptr || !member->IsString()) return otherwise;
  return {member->GetString(), member->GetStringLength()};
}

// The true or false member `key`, or `otherwise`.
inline bool bool_field(const JsonValue& object, const char* key, bool otherwise) {
  const JsonValue* member = find_member(object, key);
  return member != nullptr && member->IsBool() ? member->GetBool() : otherwise;
}

// The text of a JSON string value.
inline std::string text_of(const JsonValue& value) {
  return {value.GetString(), value.GetStringLength()};
}

}  // namespace temper
