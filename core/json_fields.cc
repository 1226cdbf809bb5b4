#include "core/json_fields.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/did_you_mean.h"
#include "core/edit_distance.h"
#include "core/error.h"

namespace temper {
namespace {

std::string range_text(int64_t least, int64_t most) {
  if (most == JsonFields::kMost) return "an integer of at least " + std::to_string(least);
  return "an integer from " + std::to_string(least) + " to " + std::to_string(most);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// An integer, also when written as 40.0.
bool as_integer(const JsonValue& value, int64_t* out) {
  if (value.IsInt64()) {
    *out = value.GetInt64();
    return true;
  }
  if (!value.IsDouble() || value.GetDouble() != std::floor(value.GetDouble()) ||
      std::abs(value.GetDouble()) > 1e15)
    return false;
  *out = static_cast<int64_t>(value.GetDouble());
  return true;
}

}  // namespace

JsonFields::JsonFields(const JsonValue& object, std::string where, std::string prefix)
    : object_(&object), where_(std::move(where)), prefix_(std::move(prefix)) {
  if (object.IsObject()) return;
  const std::string name = prefix_.empty() ? "" : prefix_.substr(0, prefix_.size() - 1);
  throw UserError({.what = name.empty() ? "not a JSON object" : "key '" + name + "' is wrong",
                   .where = where_,
                   .expected = "a JSON object",
                   .found = to_text(object).substr(0, 80)});
}

const JsonValue* JsonFields::find(const char* key) const {
  asked_.insert(key);
  return find_member(*object_, key);
}

// The member that may have been meant to be `key`; "" if there is none.
std::string JsonFields::slip_for(const std::string& key) const {
  for (const auto& member : object_->GetObject()) {
    const std::string name(member.name.GetString(), member.name.GetStringLength());
    if (asked_.count(name) == 0 && edit_distance(name, key) <= 2) return name;
  }
  return "";
}

void JsonFields::refuse_mistyped() const {
  for (const std::string& key : asked_) {
    if (object_->HasMember(key.c_str())) continue;
    const std::string slip = slip_for(key);
    if (!slip.empty())
      throw UserError({.what = "unknown key '" + prefix_ + slip + "'",
                       .where = where_,
                       .hint = "did you mean '" + prefix_ + key + "'?"});
  }
}

void JsonFields::fail(const char* key, const std::string& expected, const std::string& hint) const {
  const JsonValue* value = find(key);
  const std::string slip = value == nullptr ? slip_for(key) : "";
  throw UserError({.what = "key '" + prefix_ + key + (value ? "' is wrong" : "' is missing"),
                   .where = where_,
                   .expected = expected,
                   .found = value          ? to_text(*value).substr(0, 80)
                            : slip.empty() ? "nothing"
                                           : "'" + prefix_ + slip + "'",
                   .hint = slip.empty() ? hint : "did you mean '" + prefix_ + key + "'?"});
}

const JsonValue& JsonFields::need(const char* key, const char* expected) const {
  const JsonValue* value = find(key);
  if (value == nullptr) fail(key, expected);
  return *value;
}

int64_t JsonFields::integer(const char* key, int64_t least, int64_t most) const {
  const std::string expected = range_text(least, most);
  int64_t value = 0;
  if (!as_integer(need(key, expected.c_str()), &value) || value < least || value > most)
    fail(key, expected);
  return value;
}

int64_t JsonFields::integer_or(const char* key, int64_t fallback, int64_t least,
                               int64_t most) const {
  return has(key) ? integer(key, least, most) : fallback;
}

double JsonFields::number(const char* key, double least) const {
  const std::string expected =
      least == kPositive ? "a number above 0" : "a number of at least " + std::to_string(least);
  const JsonValue& value = need(key, expected.c_str());
  if (!value.IsNumber() || !std::isfinite(value.GetDouble()) || value.GetDouble() < least)
    fail(key, expected);
  return value.GetDouble();
}

double JsonFields::number_or(const char* key, double fallback, double least) const {
  return has(key) ? number(key, least) : fallback;
}

bool JsonFields::boolean_or(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  const JsonValue& value = need(key, "");
  if (!value.IsBool()) fail(key, "true or false");
  return value.GetBool();
}

std::string JsonFields::text(const char* key) const {
  const JsonValue& value = need(key, "a string");
  if (!value.IsString()) fail(key, "a string");
  return {value.GetString(), value.GetStringLength()};
}

std::string JsonFields::text_or(const char* key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

std::string JsonFields::choice(const char* key, const std::vector<std::string>& known) const {
  const std::string expected = "one of " + joined(known);
  const JsonValue& value = need(key, expected.c_str());
  if (!value.IsString()) fail(key, expected);
  std::string found(value.GetString(), value.GetStringLength());
  if (std::find(known.begin(), known.end(), found) != known.end()) return found;
  // Of a short word another letter or two make another word: 'gelu' is not a slip for 'silu'.
  constexpr size_t kShort = 5;
  fail(key, expected, found.size() > kShort ? did_you_mean(found, known) : "");
}

std::string JsonFields::choice_or(const char* key, const std::string& fallback,
                                  const std::vector<std::string>& known) const {
  return has(key) ? choice(key, known) : fallback;
}

std::vector<int64_t> JsonFields::integers_or_none(const char* key, int64_t least) const {
  std::vector<int64_t> values;
  if (!has(key)) return values;
  const std::string expected =
      "an integer or a list of integers of at least " + std::to_string(least);
  const JsonValue& value = need(key, "");
  const auto add = [&](const JsonValue& item) {
    int64_t number = 0;
    if (!as_integer(item, &number) || number < least) fail(key, expected);
    values.push_back(number);
  };
  if (!value.IsArray()) {
    add(value);
    return values;
  }
  for (const JsonValue& item : value.GetArray()) add(item);
  return values;
}

JsonFields JsonFields::object(const char* key) const {
  return {need(key, "an object"), where_, prefix_ + key + "."};
}

}  // namespace temper
