#include "cli/stored_options.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "core/error.h"
#include "core/hash.h"
#include "core/json.h"
#include "data/migrations.h"
#include "data/store_reader.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// Of one call, not of the run; `model` is compared by what its files hold.
constexpr std::array kOfTheCall = {"resume", "resume_from", "out",   "model",
                                   "preset", "threads",     "quiet", "device"};
// They say how far a run goes and what it keeps, or are means to the same numbers.
constexpr std::array kMayChange = {
    "steps",      "max_steps",     "epochs",       "save_every",     "keep",
    "save_dtype", "log_tokens",    "max_unjudged", "reward_timeout", "micro_batch_tokens",
    "recompute",  "rollout_batch", "cache_memory"};

template <size_t N>
bool is_among(const std::array<const char*, N>& names, const std::string& key) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return key == name; });
}

std::string text_of(const JsonValue& value) {
  if (value.IsString()) return {value.GetString(), value.GetStringLength()};
  if (value.IsBool()) return value.GetBool() ? "true" : "false";
  if (value.IsInt64()) return option_text(value.GetInt64());
  if (value.IsNumber()) return option_text(value.GetDouble());
  return to_text(value);
}

std::vector<std::string> texts_of(const JsonValue& value) {
  if (!value.IsArray()) return {text_of(value)};
  std::vector<std::string> texts;
  for (const JsonValue& item : value.GetArray()) texts.push_back(text_of(item));
  return texts;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ",") + text;
  return out;
}

bool wants_resume(OptionsTable& options) {
  const Option* resume = options.find_flag("resume");
  const Option* from = options.find_flag("resume-from");
  return resume != nullptr && from != nullptr &&
         (resume->values().at(0) == "true" || from->values().at(0) != "0");
}

}  // namespace

void apply_stored_options(OptionsTable& options, const std::string& subcommand) {
  if (!wants_resume(options)) return;
  const Option* out = options.find_flag("out");
  if (out == nullptr || !out->has_value()) return;
  const fs::path file = fs::path(out->values().at(0)) / kStoreFile;
  if (!fs::is_regular_file(file)) return;
  Database database(file, OpenMode::read_only);
  refuse_unknown(database);
  if (!database.value<int>("SELECT 1 FROM sqlite_schema WHERE name = 'runs'")) return;
  const auto config = database.value<std::string>(
      "SELECT config FROM runs WHERE kind = ? ORDER BY id DESC LIMIT 1", subcommand);
  if (config) set_stored_options(options, *config, file.string());
}

void set_stored_options(OptionsTable& options, const std::string& config,
                        const std::string& where) {
  const Json json = parse_json(config, where + ": runs.config");
  for (Option& option : options.entries()) {
    const JsonValue* stored = find_member(json, option.key().c_str());
    const bool of_the_call =
        is_among(kOfTheCall, option.key()) && option.key() != "model" && option.key() != "data";
    if (stored == nullptr || of_the_call || option.origin() != OptionOrigin::default_value)
      continue;
    option.set(texts_of(*stored), where, OptionOrigin::file);
  }
}

std::vector<std::string> changed_options(const OptionsTable& options, const std::string& config) {
  const Json json = parse_json(config, "runs.config");
  std::vector<std::string> changed;
  for (const Option& option : options.entries()) {
    const JsonValue* stored = find_member(json, option.key().c_str());
    if (stored == nullptr || is_among(kOfTheCall, option.key())) continue;
    const std::string was = joined(texts_of(*stored)), is = joined(option.values());
    if (was == is) continue;
    if (!is_among(kMayChange, option.key()))
      throw UserError({.what = "a run goes on with the options that it began with",
                       .where = "--" + option.flag(),
                       .expected = "'" + was + "'",
                       .found = "'" + is + "'",
                       .hint = "leave the flag out: with --resume the run's own values count; for "
                               "a new run from a checkpoint give its folder as --model"});
    changed.push_back(option.key());
  }
  return changed;
}

std::string with_changes(const std::string& config, const OptionsTable& options,
                         const std::vector<std::string>& keys) {
  Json json = parse_json(config, "runs.config");
  const Json now = parse_json(options.to_json(), "the options");
  for (const std::string& key : keys) {
    JsonValue value(*find_member(now, key.c_str()), json.GetAllocator());
    json[key.c_str()] = value;
  }
  return to_text(json);
}

std::string options_hash(const OptionsTable& options) {
  std::string text;
  for (const Option& option : options.entries())
    if (!is_among(kOfTheCall, option.key()) && option.key() != "data")
      text += option.key() + "=" + joined(option.values()) + "\n";
  return fingerprint(text);
}

}  // namespace temper
