#include "model/checkpoint/shards.h"

#include <map>

#include "core/error.h"
#include "core/json.h"

namespace temper {
namespace fs = std::filesystem;

Shards::Shards(const fs::path& dir) {
  const fs::path single = dir / "model.safetensors";
  const fs::path index = dir / "model.safetensors.index.json";
  if (fs::exists(index))
    open_index(index);
  else if (fs::exists(single))
    open(single);
  else
    throw UserError({.what = "the model folder has no weights",
                     .where = dir.string(),
                     .expected = "model.safetensors or model.safetensors.index.json",
                     .hint = fs::exists(dir / "pytorch_model.bin")
                                 ? "save the model as safetensors first; .bin files hold code"
                                 : "check the path, or download the model again"});
}

void Shards::open(const fs::path& path) {
  // A move keeps the tensors' addresses: they lie in the file's own vector.
  files_.emplace_back(path);
  const std::string name = path.filename().string();
  for (const std::string& problem : files_.back().problems())
    problems_.push_back(problem + " (" + name + ")");
  for (const StoredTensor& tensor : files_.back().tensors())
    if (!by_name_.emplace(tensor.name, &tensor).second &&
        files_.back().find(tensor.name) == &tensor)
      problems_.push_back(tensor.name + ": in two files, the second is " + name);
}

void Shards::open_index(const fs::path& path) {
  const Json json = parse_json(read_file(path), path.string());
  const JsonValue* map = find_member(json, "weight_map");
  if (map == nullptr || !map->IsObject())
    throw UserError({.what = "key 'weight_map' is missing",
                     .where = path.string(),
                     .expected = "an object of tensor names and file names"});
  std::map<std::string, std::vector<std::string>> names_by_file;
  for (const auto& member : map->GetObject()) {
    if (!member.value.IsString())
      throw UserError(
          {.what = "not a file name: the entry of " + std::string(member.name.GetString()),
           .where = path.string()});
    names_by_file[member.value.GetString()].push_back(member.name.GetString());
  }
  for (const auto& [file, names] : names_by_file) {
    const fs::path shard = path.parent_path() / file;
    if (!fs::exists(shard)) {
      problems_.push_back("the file " + file + " is missing, which holds " +
                          std::to_string(names.size()) + " tensors");
      continue;
    }
    open(shard);
    for (const std::string& name : names)
      if (files_.back().find(name) == nullptr)
        problems_.push_back(name + ": not in " + file + ", where the index says it is");
  }
}

const StoredTensor* Shards::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::vector<std::string> Shards::names() const {
  std::vector<std::string> names;
  for (const SafetensorsFile& file : files_)
    for (const StoredTensor& tensor : file.tensors()) names.push_back(tensor.name);
  return names;
}

}  // namespace temper
