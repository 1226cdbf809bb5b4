#include "data/special_ids.h"

#include <algorithm>

#include "core/error.h"
#include "core/file.h"

namespace temper {
namespace {

int32_t id_of(const JsonValue& value, const std::string& key, const std::string& where) {
  if (!value.IsInt()) {
    throw UserError({.what = key + " is not a token id",
                     .where = where,
                     .expected = "an integer or a list of integers",
                     .found = to_text(value)});
  }
  return value.GetInt();
}

void read_ids(const std::filesystem::path& path, SpecialIds& ids) {
  if (!std::filesystem::exists(path)) return;
  const Json json = parse_json(read_file(path), path.string());
  const auto single = [&](const char* key, int32_t& id) {
    const JsonValue* member = find_member(json, key);
    if (id >= 0 || member == nullptr) return;
    const bool list = member->IsArray() && !member->Empty();
    id = id_of(list ? (*member)[0] : *member, key, path.string());
  };
  single("bos_token_id", ids.bos);
  single("pad_token_id", ids.pad);
  const JsonValue* eos = find_member(json, "eos_token_id");
  if (eos == nullptr || !ids.eos.empty()) return;
  const auto add = [&](const JsonValue& value) {
    const int32_t id = id_of(value, "eos_token_id", path.string());
    if (!ids.is_eos(id)) ids.eos.push_back(id);
  };
  if (eos->IsArray()) {
    for (const JsonValue& value : eos->GetArray()) add(value);
  } else {
    add(*eos);
  }
}

}  // namespace

SpecialIds read_special_ids(const std::filesystem::path& model) {
  SpecialIds ids;
  read_ids(model / "generation_config.json", ids);
  read_ids(model / "config.json", ids);
  return ids;
}

}  // namespace temper
