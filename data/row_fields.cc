#include "data/row_fields.h"

#include <initializer_list>

#include "core/error.h"
#include "data/json_fields.h"

namespace temper {
namespace {

const JsonValue* first_of(const JsonValue& row, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (const JsonValue* member = find_member(row, key)) return member;
  }
  return nullptr;
}

}  // namespace

Conversation read_messages(const JsonValue& row, const std::string& where) {
  const JsonValue* list = find_member(row, "messages");
  if (list == nullptr || !list->IsArray()) {
    throw UserError({.what = "\"messages\" is not a list", .where = where});
  }
  Conversation messages;
  for (const JsonValue& entry : list->GetArray()) {
    const JsonValue* role = find_member(entry, "role");
    const JsonValue* content = find_member(entry, "content");
    if (role == nullptr || !role->IsString() || content == nullptr || !content->IsString()) {
      throw UserError({.what = "message " + std::to_string(messages.size() + 1) +
                               " has no text under \"role\" and \"content\"",
                       .where = where,
                       .expected = R"({"role":"user","content":"..."})",
                       .found = to_text(entry).substr(0, 80)});
    }
    messages.push_back({text_of(*role), text_of(*content)});
  }
  return messages;
}

std::vector<int32_t> read_id_list(const JsonValue& row, const char* key, int64_t limit,
                                  const std::string& where) {
  const JsonValue* list = find_member(row, key);
  if (list == nullptr || !list->IsArray()) {
    throw UserError({.what = "\"" + std::string(key) + "\" is not a list", .where = where});
  }
  std::vector<int32_t> ids;
  ids.reserve(list->Size());
  for (const JsonValue& id : list->GetArray()) {
    const bool fits = id.IsInt() && id.GetInt() >= 0 && (limit == 0 || id.GetInt() < limit);
    if (!fits) {
      throw UserError({.what = "number " + std::to_string(ids.size() + 1) + " of \"" + key +
                               "\" is out of range",
                       .where = where,
                       .expected = limit == 0 ? "integers from 0"
                                              : "integers from 0 to " + std::to_string(limit - 1),
                       .found = to_text(id)});
    }
    ids.push_back(id.GetInt());
  }
  return ids;
}

const JsonValue* find_question(const JsonValue& row) {
  return first_of(row, {"prompt", "question", "problem", "instruction"});
}

const JsonValue* find_completion(const JsonValue& row) {
  return first_of(row, {"completion", "response", "output", "solution", "answer"});
}

std::string read_gold(const JsonValue& row) {
  const JsonValue* gold = first_of(row, {"gold", "answer", "solution", "target"});
  if (gold == nullptr) return "";
  std::string text = value_text(*gold);
  const size_t mark = text.rfind("####");
  if (mark == std::string::npos) return text;
  const size_t begin = text.find_first_not_of(" \t", mark + 4);
  const size_t end = text.find_last_not_of(" \t\r\n");
  return begin == std::string::npos ? "" : text.substr(begin, end + 1 - begin);
}

}  // namespace temper
