#include "cli/help.h"

#include <algorithm>
#include <sstream>

#include "cli/build_info.h"
#include "core/json.h"

namespace temper {
namespace {

constexpr size_t kIndent = 2, kHelpColumn = 32, kColumns = 96;

std::string placeholder(const Option& option) {
  if (!option.value_name().empty()) return option.value_name();
  switch (option.kind()) {
    case OptionKind::text:
    case OptionKind::text_list:
      return "TEXT";
    case OptionKind::integer:
    case OptionKind::integer_list:
      return "N";
    case OptionKind::real:
      return "X";
    case OptionKind::choice:
      return "NAME";
    case OptionKind::boolean:
      return "";
  }
  return "";
}

std::string default_text(const Option& option) {
  const std::vector<std::string>& values = option.default_values();
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ",") + value;
  const bool blank = !text.empty() && text.find_first_not_of(" \n\t") == std::string::npos;
  return blank ? quote_json(text) : text;
}

std::string notes(const Option& option) {
  std::vector<std::string> parts;
  if (!option.choices().empty()) {
    std::string list = "one of";
    for (const std::string& choice : option.choices()) list += " " + choice;
    parts.push_back(list);
  }
  if (!option.range_text().empty()) parts.push_back(option.range_text());
  const std::string value = default_text(option);
  if (option.is_required() && value.empty()) {
    parts.push_back("required");
  } else if (!value.empty()) {
    parts.push_back("default " + value + (option.unit().empty() ? "" : " " + option.unit()));
  } else if (!option.unit().empty()) {
    parts.push_back("in " + option.unit());
  }
  if (option.is_list()) parts.push_back("may be repeated");
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text.empty() ? "" : " [" + text + "]";
}

// `left` in its column, then `right` filled to the width with a hanging indent.
void write_entry(std::ostream& out, const std::string& left, const std::string& right) {
  std::string line = std::string(kIndent, ' ') + left;
  if (line.size() + 2 > kHelpColumn) {
    out << line << '\n';
    line.clear();
  }
  line.resize(kHelpColumn, ' ');
  bool fresh = true;
  std::istringstream words(right);
  for (std::string word; words >> word; fresh = false) {
    if (!fresh && line.size() + 1 + word.size() > kColumns) {
      out << line << '\n';
      line.assign(kHelpColumn, ' ');
      fresh = true;
    }
    line += (fresh ? "" : " ") + word;
  }
  out << line << '\n';
}

std::string usage(const Subcommand& subcommand) {
  std::string line = "usage: temper " + subcommand.name;
  for (const Option& option : subcommand.options.entries()) {
    if (!option.is_required()) continue;
    line += option.is_positional() ? " " : " --" + option.flag() + " ";
    line += placeholder(option);
  }
  return line + " [options]";
}

}  // namespace

std::string overview_text(const Subcommands& subcommands, const std::string& group) {
  std::ostringstream out;
  out << "usage: temper " << (group.empty() ? "" : group + " ") << "SUBCOMMAND [options]\n\n";
  if (group.empty()) out << "Post-training of DeepSeek-V3-class language models.\n\n";
  out << "Subcommands\n";
  for (const Subcommand& subcommand : subcommands.all()) {
    if (!group.empty() && subcommand.name.rfind(group + " ", 0) != 0) continue;
    write_entry(out, subcommand.name, subcommand.about);
  }
  out << "\n`temper SUBCOMMAND --help` lists its options.";
  if (group.empty()) out << " `temper --version` names the version.";
  out << '\n';
  return out.str();
}

std::string help_text(const Subcommand& subcommand) {
  std::ostringstream out;
  out << "temper " << subcommand.name << ": " << subcommand.about << "\n\n"
      << usage(subcommand) << '\n';
  std::vector<std::string> groups;
  for (const Option& option : subcommand.options.entries()) {
    if (std::find(groups.begin(), groups.end(), option.group()) == groups.end()) {
      groups.push_back(option.group());
    }
  }
  for (const std::string& group : groups) {
    out << '\n' << group << '\n';
    for (const Option& option : subcommand.options.entries()) {
      if (option.group() != group) continue;
      const std::string value = placeholder(option);
      const bool on = option.kind() == OptionKind::boolean && default_text(option) == "true";
      write_entry(out, (on ? "--[no-]" : "--") + option.flag() + (value.empty() ? "" : " " + value),
                  option.help() + notes(option));
    }
  }
  out << "\nConfiguration\n";
  write_entry(out, "--config FILE.toml",
              "options by key (the flag with '_' for '-'), at the top or under [" +
                  subcommand.section() + "]; flags win over the file");
  write_entry(out, "--print-config", "print the options in force as such a file, and stop");
  write_entry(out, "-h, --help", "this text");
  if (!subcommand.examples.empty()) out << "\nExamples\n" << subcommand.examples << '\n';
  return out.str();
}

std::string version_text() {
  return "temper " + code_version() + "\n";
}

}  // namespace temper
