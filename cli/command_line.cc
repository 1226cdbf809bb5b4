#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <deque>
#include <map>

#include "cli/stored_options.h"
#include "core/config_file.h"
#include "core/device.h"
#include "core/error.h"
#include "core/file.h"
#include "reward/spec.h"

namespace temper {
namespace {

// Flags that every subcommand has besides its table.
struct Builtins {
  bool help = false, print_config = false;
  std::vector<std::string> config = {};
};

void add_builtins(CLI::App& app, Builtins& builtins) {
  app.set_help_flag();  // the help is ours: it knows defaults, units and ranges
  app.allow_extras();   // unknown flags are ours too: we name the nearest
  app.add_flag("-h,--help", builtins.help);
  app.add_flag("--print-config", builtins.print_config);
  app.add_option("--config", builtins.config)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

// CLI11 only splits the arguments; the texts are checked and converted by the table.
struct BoundFlag {
  Option* option;
  CLI::Option* parsed;
};

CLI::Option* bind_flag(CLI::App& app, const Option& option) {
  const std::string& flag = option.flag();
  if (option.kind() == OptionKind::boolean) {
    return app.add_flag("--" + flag + ",!--no-" + flag)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  // The name of the place is ours alone: CLI11 from 2.4 on takes one that is a flag of a nested
  // subcommand (`inspect PATH`, `inspect runs --path`) for a clash.
  const std::string names = (option.is_positional() ? flag + "-argument," : "") + "--" + flag;
  CLI::Option* parsed = app.add_option(names, [](const CLI::results_t&) { return true; });
  return parsed->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

// On the GPU the arithmetic is bf16 unless the user said otherwise; options whose choices are the
// CPU's two arithmetics are the ones meant.
void choose_arithmetic(Subcommand& subcommand) {
  Option* dtype = subcommand.options.find_flag("dtype");
  if (dtype == nullptr || dtype->origin() != OptionOrigin::default_value) return;
  const auto& choices = dtype->choices();
  if (std::find(choices.begin(), choices.end(), "f64") == choices.end()) return;
  const Option* device = subcommand.options.find_flag("device");
  if (device == nullptr || device_of(device->values().at(0)) == Device::cpu) return;
  dtype->set({"bf16"}, "--device", OptionOrigin::default_value);
}

// One CLI11 app a subcommand and a family ("model"), found by its full name.
class Parser {
 public:
  explicit Parser(Subcommands& subcommands) : subcommands_(subcommands) {
    app_.require_subcommand(0, 1);
    add_builtins(app_, top_);
    app_.add_flag("--version", version_);
    for (Subcommand& subcommand : subcommands.all()) add(subcommand);
  }

  Command read(int argc, char** argv);

 private:
  void add(Subcommand& subcommand);
  CLI::App& make(const std::string& name);
  Subcommand* find(const std::string& name);
  void check_values(const std::string& name) const;
  void check_extras(CLI::App& app, const Subcommand* subcommand, const std::string& name) const;
  void apply_file(const std::string& path, Subcommand& subcommand) const;

  Subcommands& subcommands_;
  CLI::App app_;
  Builtins top_;
  bool version_ = false;
  std::map<std::string, CLI::App*> apps_;
  std::map<std::string, Builtins> builtins_;
  std::map<std::string, std::vector<BoundFlag>> flags_;
};

CLI::App& Parser::make(const std::string& name) {
  if (const auto found = apps_.find(name); found != apps_.end()) return *found->second;
  const size_t space = name.rfind(' ');
  CLI::App& parent = space == std::string::npos ? app_ : make(name.substr(0, space));
  CLI::App* app = parent.add_subcommand(space == std::string::npos ? name : name.substr(space + 1));
  app->require_subcommand(0, 1);
  add_builtins(*app, builtins_[name]);
  apps_[name] = app;
  return *app;
}

void Parser::add(Subcommand& subcommand) {
  CLI::App& app = make(subcommand.name);
  for (Option& option : subcommand.options.entries()) {
    flags_[subcommand.name].push_back({&option, bind_flag(app, option)});
  }
}

Subcommand* Parser::find(const std::string& name) {
  for (Subcommand& subcommand : subcommands_.all()) {
    if (subcommand.name == name) return &subcommand;
  }
  return nullptr;
}

// A flag that lacks its value would take the next flag for it.
void Parser::check_values(const std::string& name) const {
  const auto found = flags_.find(name);
  if (found == flags_.end()) return;
  for (const BoundFlag& flag : found->second)
    for (const std::string& value : flag.parsed->results())
      for (const BoundFlag& other : found->second)
        if (value == "--" + other.option->flag())
          throw UserError({"a value is missing", "--" + flag.option->flag(),
                           "a value before " + value, "", "see temper " + name + " --help"});
}

// The name that was meant: a few letters away, or one of them begins with the other, word by word
// (--samples for another subcommand's --samples-per-prompt); "" if there is none or several are.
std::string meant(const std::string& mistake, const std::vector<std::string>& known) {
  const std::string near = nearest_name(mistake, known.data(), known.size());
  if (!near.empty()) return near;
  const auto begins = [](const std::string& a, const std::string& b) {
    return a.rfind(b + "-", 0) == 0;
  };
  std::vector<std::string> related;
  for (const std::string& name : known)
    if (begins(mistake, name) || begins(name, mistake)) related.push_back(name);
  return related.size() == 1 ? related[0] : "";
}

// The first argument nobody took is the mistake to name; `name` is the subcommand's or family's.
void Parser::check_extras(CLI::App& app, const Subcommand* subcommand,
                          const std::string& name) const {
  const std::vector<std::string> extras = app.remaining();
  if (extras.empty()) return;
  const std::string mistake = extras.front().substr(0, extras.front().find('='));
  const std::string where = name.empty() ? "temper" : "temper " + name;
  std::string what = "unexpected argument";
  std::vector<std::string> known;
  if (mistake.size() > 1 && mistake[0] == '-') {
    what = "unknown flag";
    known = {"--help", subcommand == nullptr ? "--version" : "--config"};
    if (subcommand != nullptr) {
      known.push_back("--print-config");
      for (const std::string& flag : subcommand->options.flags()) known.push_back("--" + flag);
    }
  } else if (subcommand == nullptr) {
    what = "unknown subcommand";
    const std::string family = name.empty() ? "" : name + " ";
    for (const Subcommand& other : subcommands_.all()) {
      if (other.name.rfind(family, 0) == 0) known.push_back(other.name.substr(family.size()));
    }
  }
  const std::string near = meant(mistake, known);
  throw UserError(
      {what, where, "", "'" + mistake + "'",
       (near.empty() ? "" : "did you mean '" + near + "'? ") + ("see " + where + " --help")});
}

// The sections [rewards...] are the other spelling of --reward: they are taken out of `entries`.
void apply_reward_table(OptionsTable& table, std::vector<ConfigEntry>& entries,
                        const std::string& path) {
  const auto of_reward = [](const ConfigEntry& e) { return is_reward_section(e.section); };
  if (std::none_of(entries.begin(), entries.end(), of_reward)) return;
  const std::string text = text_of(reward_spec_of_config(entries, path));
  Option* option = table.find_flag("reward");
  if (option != nullptr) option->set({text}, path + ": [rewards]", OptionOrigin::file);
  std::erase_if(entries, of_reward);
}

// --reward FILE.toml is the reward of the file's tables: the run keeps what they say, not a name.
void resolve_reward_file(OptionsTable& table) {
  Option* option = table.find_flag("reward");
  if (option == nullptr || option->values().size() != 1) return;
  const std::string path = option->values()[0];
  if (!path.ends_with(".toml")) return;
  const std::vector<ConfigEntry> entries = parse_config(read_file(path), path);
  option->set({text_of(reward_spec_of_config(entries, path))}, path, option->origin());
}

void Parser::apply_file(const std::string& path, Subcommand& subcommand) const {
  std::vector<std::string> others;
  for (const Subcommand& other : subcommands_.all()) {
    if (other.name != subcommand.name) others.push_back(other.section());
  }
  std::vector<ConfigEntry> entries = parse_config(read_file(path), path);
  apply_reward_table(subcommand.options, entries, path);
  apply_config(subcommand.options, entries, path, subcommand.section(), others);
}

// What stands behind "--" is the value of the option --command, where a subcommand has one.
void take_command(Subcommand& subcommand, int argc, char** argv) {
  if (argc == 0) return;
  Option* command = subcommand.options.find_flag("command");
  if (command == nullptr)
    throw UserError({.what = "unexpected argument",
                     .where = "temper " + subcommand.name,
                     .found = "'--'",
                     .hint = "see temper " + subcommand.name + " --help"});
  if (argc > 1) command->set({argv + 1, argv + argc}, "behind --", OptionOrigin::flag);
}

Command Parser::read(int all, char** argv) {
  const auto argc = static_cast<int>(std::find(argv, argv + all, std::string_view("--")) - argv);
  try {
    app_.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    throw UserError({error.what(), "command line", "", "", "see temper --help"});
  }
  if (version_) return {.kind = Command::Kind::version};
  std::string name;
  CLI::App* app = &app_;
  for (auto chosen = app_.get_subcommands(); !chosen.empty(); chosen = app->get_subcommands()) {
    app = chosen.front();
    name += (name.empty() ? "" : " ") + app->get_name();
  }
  const Builtins& builtins = name.empty() ? top_ : builtins_[name];
  Subcommand* subcommand = find(name);
  if (builtins.help) return {Command::Kind::help, subcommand, name};
  check_values(name);
  check_extras(*app, subcommand, name);
  if (subcommand == nullptr) return {Command::Kind::help, nullptr, name};
  for (const std::string& path : builtins.config) apply_file(path, *subcommand);
  for (const BoundFlag& flag : flags_[name]) {
    if (flag.parsed->count() == 0) continue;
    flag.option->set(flag.parsed->results(), "--" + flag.option->flag(), OptionOrigin::flag);
  }
  take_command(*subcommand, all - argc, argv + argc);
  resolve_reward_file(subcommand->options);
  apply_stored_options(subcommand->options, name);
  subcommand->options.apply_preset();
  choose_arithmetic(*subcommand);
  if (builtins.print_config) return {Command::Kind::print_config, subcommand, name};
  subcommand->options.check_required();
  return {Command::Kind::run, subcommand, name};
}

}  // namespace

void add_common_options(Subcommands& subcommands, CommonOptions& common) {
  for (Subcommand& subcommand : subcommands.all()) {
    OptionsTable table;
    table.group("General");
    table.add("threads", &common.threads, "CPU threads; 0 takes one a core").range(0, 1024);
    table.add("device", &common.device, "auto (the GPU where there is one), cpu or cuda");
    table.add("quiet", &common.quiet, "no progress on stderr, only warnings");
    subcommand.options.include(std::move(table));
  }
}

Command read_command_line(int argc, char** argv, Subcommands& subcommands) {
  return Parser(subcommands).read(argc, argv);
}

std::string command_line_text(int argc, char** argv) {
  std::string line;
  for (int i = 0; i < argc; ++i) {
    std::string word = argv[i];
    const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) ||
             std::string_view("-_=./,:+@%").find(c) != std::string_view::npos;
    });
    if (!plain) {
      std::string quoted = "'";
      for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
      word = quoted + "'";
    }
    line += (i == 0 ? "" : " ") + word;
  }
  return line;
}

}  // namespace temper
