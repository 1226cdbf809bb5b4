#include "cli/recipe.h"

#include <algorithm>
#include <set>

#include "core/config_file.h"
#include "core/did_you_mean.h"
#include "core/error.h"
#include "core/file.h"
#include "data/mixture.h"

namespace temper {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHead = "recipe";

std::string place(const fs::path& path, int line) {
  return path.string() + ":" + std::to_string(line);
}

// Calls on_text and on_reference for the parts of "{init}/model".
template <class OnText, class OnReference>
void split_references(const std::string& text, OnText&& on_text, OnReference&& on_reference) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t open = text.find('{', at);
    const size_t close = open == std::string::npos ? open : text.find('}', open);
    if (close == std::string::npos) break;
    if (close == open + 1) {  // "\boxed{}" of a prompt
      on_text(text.substr(at, close + 1 - at));
      at = close + 1;
      continue;
    }
    on_text(text.substr(at, open - at));
    on_reference(text.substr(open + 1, close - open - 1));
    at = close + 1;
  }
  on_text(text.substr(at));
}

std::vector<std::string> references_of(const RecipeValue& value) {
  std::vector<std::string> names;
  for (const std::string& item : value.items)
    split_references(
        item, [](const std::string&) {}, [&](const std::string& name) { names.push_back(name); });
  return names;
}

// The value with paths for references.
std::string expanded(const Recipe& recipe, const std::string& item, const fs::path& folder) {
  std::string text;
  split_references(
      item, [&](const std::string& part) { text += part; },
      [&](const std::string& name) {
        text += (folder / recipe.stages[recipe.find(name, "")].out).string();
      });
  return text;
}

// Reads the entries of one file after another into stages.
class Reader {
 public:
  explicit Reader(const fs::path& path) : path_(path) {
    add_all_subcommands(subcommands_);
    recipe_.path = path;
    recipe_.name = path.stem().string();
  }

  Recipe read() {
    for (const ConfigEntry& entry : parse_config(read_file(path_), path_.string())) take(entry);
    if (recipe_.stages.empty())
      throw UserError({.what = "the recipe has no stage",
                       .where = path_.string(),
                       .expected = "[NAME] sections with run = \"SUBCOMMAND\""});
    for (size_t i = 0; i < recipe_.stages.size(); ++i) check(i);
    return std::move(recipe_);
  }

 private:
  void take(const ConfigEntry& entry) {
    if (entry.section.empty() || (entry.key.empty() && entry.section == kHead)) return;
    if (entry.section == kHead) return take_head(entry);
    if (recipe_.stages.empty() || recipe_.stages.back().name != entry.section) begin(entry);
    RecipeStage& stage = recipe_.stages.back();
    const std::string& key = entry.key;
    if (key.empty()) return;
    if (key == "run") {
      stage.run = text_of(entry);
    } else if (key == "like") {
      inherit(stage, entry);
    } else if (key == "out") {
      stage.out = text_of(entry);
    } else if (key == "label") {
      stage.label = text_of(entry);
    } else if (key == "plan_samples") {
      stage.plan_samples = number_of(entry);
    } else if (key == "plan_tokens") {
      stage.plan_tokens = number_of(entry);
    } else if (key == "plan_architecture") {
      stage.plan_architecture = text_of(entry);
    } else {
      std::string flag = key;
      std::replace(flag.begin(), flag.end(), '_', '-');
      stage.values[flag] = {entry.value.items, entry.line};
    }
  }

  void take_head(const ConfigEntry& entry) {
    if (entry.key == "name") {
      recipe_.name = text_of(entry);
    } else if (entry.key == "seed") {
      recipe_.seed = static_cast<int64_t>(number_of(entry));
    } else if (entry.key == "architecture") {
      recipe_.architecture = text_of(entry);
    } else {
      throw UserError({.what = "unknown key of [recipe]",
                       .where = place(path_, entry.line),
                       .expected = "name, seed or architecture",
                       .found = entry.key});
    }
  }

  std::string text_of(const ConfigEntry& entry) const {
    if (entry.value.list || entry.value.items.size() != 1)
      throw UserError({.what = "the key takes one value",
                       .where = place(path_, entry.line),
                       .found = entry.key});
    return entry.value.items[0];
  }

  double number_of(const ConfigEntry& entry) const {
    const std::string text = text_of(entry);
    const ConfigKind kind = entry.value.kind;
    if (kind == ConfigKind::integer || kind == ConfigKind::real) return option_real(text);
    throw UserError({.what = "the key takes a number",
                     .where = place(path_, entry.line),
                     .found = entry.key + " = " + text});
  }

  void begin(const ConfigEntry& entry) {
    for (const RecipeStage& stage : recipe_.stages)
      if (stage.name == entry.section)
        throw UserError({.what = "two stages have one name",
                         .where = place(path_, entry.line),
                         .found = "[" + entry.section + "]"});
    recipe_.stages.push_back({.name = entry.section,
                              .run = {},
                              .label = {},
                              .out = entry.section,
                              .line = entry.line,
                              .values = {},
                              .plan_architecture = {}});
  }

  void inherit(RecipeStage& stage, const ConfigEntry& entry) {
    const std::string name = text_of(entry);
    const auto from = std::find_if(recipe_.stages.begin(), recipe_.stages.end() - 1,
                                   [&](const RecipeStage& s) { return s.name == name; });
    if (from == recipe_.stages.end() - 1)
      throw UserError({.what = "like names no earlier stage",
                       .where = place(path_, entry.line),
                       .found = name});
    if (stage.run.empty()) stage.run = from->run;
    stage.values.insert(from->values.begin(), from->values.end());  // own values stay
    if (stage.plan_samples == 0.0) stage.plan_samples = from->plan_samples;
    if (stage.plan_tokens == 0.0) stage.plan_tokens = from->plan_tokens;
    if (stage.plan_architecture.empty()) stage.plan_architecture = from->plan_architecture;
  }

  void check(size_t index) {
    const RecipeStage& stage = recipe_.stages[index];
    const Subcommand& subcommand = subcommand_of(stage);
    const std::vector<std::string> flags = subcommand.options.flags();
    for (const auto& [flag, value] : stage.values) {
      if (std::find(flags.begin(), flags.end(), flag) == flags.end())
        throw UserError({.what = "unknown option of temper " + stage.run,
                         .where = place(path_, value.line),
                         .found = flag,
                         .hint = did_you_mean(flag, flags)});
      for (const std::string& name : references_of(value)) check_reference(index, name, value);
    }
    for (size_t i = 0; i < index; ++i)
      if (recipe_.stages[i].out == stage.out)
        throw UserError({.what = "two stages have one output",
                         .where = place(path_, stage.line),
                         .found = stage.out});
  }

  const Subcommand& subcommand_of(const RecipeStage& stage) const {
    std::vector<std::string> known;
    for (const Subcommand& subcommand : subcommands_.all()) {
      if (subcommand.name == stage.run) return subcommand;
      known.push_back(subcommand.name);
    }
    if (stage.run.empty())
      throw UserError({.what = "the stage does not say what to run",
                       .where = place(path_, stage.line),
                       .expected = "run = \"sft\", \"grpo\", \"rejection\", ...",
                       .found = "[" + stage.name + "]"});
    throw UserError({.what = "unknown subcommand",
                     .where = place(path_, stage.line),
                     .found = stage.run,
                     .hint = did_you_mean(stage.run, known)});
  }

  void check_reference(size_t index, const std::string& name, const RecipeValue& value) const {
    std::vector<std::string> before;
    for (size_t i = 0; i < index; ++i) before.push_back(recipe_.stages[i].name);
    if (std::find(before.begin(), before.end(), name) != before.end()) return;
    throw UserError({.what = "the reference names no earlier stage",
                     .where = place(path_, value.line),
                     .found = "{" + name + "}",
                     .hint = did_you_mean(name, before)});
  }

  fs::path path_;
  Subcommands subcommands_;
  Recipe recipe_;
};

}  // namespace

size_t Recipe::find(const std::string& stage, const std::string& where) const {
  std::vector<std::string> known;
  for (size_t i = 0; i < stages.size(); ++i) {
    if (stages[i].name == stage) return i;
    known.push_back(stages[i].name);
  }
  std::string names;
  for (const std::string& name : known) names += (names.empty() ? "one of " : ", ") + name;
  throw UserError({.what = "the recipe has no such stage",
                   .where = where,
                   .expected = names,
                   .found = stage,
                   .hint = did_you_mean(stage, known)});
}

Recipe read_recipe(const fs::path& path) {
  return Reader(path).read();
}

std::vector<StageInput> stage_inputs(const Recipe& recipe, const RecipeStage& stage,
                                     const fs::path& folder) {
  static const std::set<std::string> kFiles{"model", "teacher",       "student",
                                            "data",  "decontaminate", "tokenizer"};
  std::vector<StageInput> inputs;
  for (const auto& [flag, value] : stage.values) {
    for (const std::string& item : value.items) {
      const std::vector<std::string> from = references_of({{item}});
      if (from.empty() && !kFiles.contains(flag)) continue;
      std::string path = expanded(recipe, item, folder);
      if (flag == "data") path = parse_weighted_files({path}, "data")[0].path;
      inputs.push_back({flag, path, from.empty() ? "" : from[0]});
    }
  }
  return inputs;
}

std::vector<std::string> stage_arguments(const Recipe& recipe, const RecipeStage& stage,
                                         const fs::path& folder) {
  Subcommands subcommands;
  add_all_subcommands(subcommands);
  const auto subcommand = std::find_if(subcommands.all().begin(), subcommands.all().end(),
                                       [&](const Subcommand& s) { return s.name == stage.run; });
  require(subcommand != subcommands.all().end(), "a recipe's stages are checked when it is read");
  std::vector<std::string> arguments;
  for (size_t at = 0; at <= stage.run.size();) {  // "data arithmetic" is two words
    const size_t end = std::min(stage.run.find(' ', at), stage.run.size());
    arguments.push_back(stage.run.substr(at, end - at));
    at = end + 1;
  }
  for (const Option& option : subcommand->options.entries()) {  // in the order of --help
    const auto value = stage.values.find(option.flag());
    if (value == stage.values.end()) continue;
    if (option.kind() == OptionKind::boolean) {
      arguments.push_back(value->second.items.at(0) == "true" ? "--" + option.flag()
                                                              : "--no-" + option.flag());
      continue;
    }
    for (const std::string& item : value->second.items)
      arguments.insert(arguments.end(), {"--" + option.flag(), expanded(recipe, item, folder)});
  }
  const std::vector<std::string> flags = subcommand->options.flags();
  const auto has = [&](const char* flag) {
    return std::find(flags.begin(), flags.end(), flag) != flags.end();
  };
  if (has("out")) arguments.insert(arguments.end(), {"--out", (folder / stage.out).string()});
  if (has("seed") && !stage.values.contains("seed"))
    arguments.insert(arguments.end(), {"--seed", std::to_string(recipe.seed)});
  return arguments;
}

}  // namespace temper
