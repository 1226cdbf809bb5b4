// The configuration file: the part of TOML that options need, read with line numbers so that a
// mistake is named where it stands.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/options.h"

namespace temper {

enum class ConfigKind { text, integer, real, boolean };

// A value of the file. A list has one kind for all its items, and may be empty.
struct ConfigValue {
  ConfigKind kind = ConfigKind::text;
  bool list = false;
  std::vector<std::string> items = {};  // strings unescaped, numbers as written
};

struct ConfigEntry {
  std::string section;  // "" before the first [section]
  std::string key;      // "" for a section without any, whose entry this is
  ConfigValue value;
  int line = 0;
};

// Reads comments, [sections], key = value with basic and literal strings, integers, floats,
// booleans and arrays (over several lines too). Throws UserError "<where>:<line>" otherwise.
std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& where);

// Sets the options named in the file. Keys before any section and those in [section] apply;
// the sections in `others` belong to other subcommands and are passed over.
// Throws UserError naming file and line: an unknown key or section (with the nearest known one),
// a key given twice, a value of the wrong kind or out of range.
void apply_config(OptionsTable& table, const std::vector<ConfigEntry>& entries,
                  const std::string& where, const std::string& section,
                  const std::vector<std::string>& others);

}  // namespace temper
