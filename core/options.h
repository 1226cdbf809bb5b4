// One table of options a subcommand: flag, configuration key, default, unit, range and help. cli/
// reads flags and files into it; it is stored with the run as resolved.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/option_preset.h"

namespace temper {

enum class OptionKind { text, integer, real, boolean, choice, text_list, integer_list };
enum class OptionOrigin { default_value, preset, file, flag };

// How an option reaches its field: values travel as texts, one a list item, else exactly one.
struct OptionBinding {
  OptionKind kind = OptionKind::text;
  std::vector<std::string> choices = {};  // of a choice
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  std::function<std::vector<std::string>()> read = {};
  std::function<void(const std::vector<std::string>&)> write = {};
};

class Option {
 public:
  Option(std::string flag, std::string group, std::string help, OptionBinding binding);

  // Declaration; each returns *this so that one statement declares one option.
  Option& unit(std::string text);            // shown after the default: "tokens", "nats"
  Option& value_name(std::string text);      // shown after the flag: "DIR", "FILE", "N"
  Option& range(double least, double most);  // both ends allowed
  Option& at_least(double least);
  Option& above(double bound);    // greater than, not equal
  Option& required();             // an empty value counts as missing
  Option& positional();           // also taken without its flag, in the order of declaration
  Option& comma_separated();      // a list also splits each value at commas
  Option& key(std::string text);  // configuration key, if not the flag with '_' for '-'

  // Sets the field from texts. Throws UserError naming `where` ("--flag" or "file:line").
  void set(const std::vector<std::string>& values, const std::string& where, OptionOrigin origin);

  const std::string& flag() const { return flag_; }
  const std::string& key() const { return key_; }
  const std::string& group() const { return group_; }
  const std::string& help() const { return help_; }
  const std::string& unit() const { return unit_; }
  const std::string& value_name() const { return value_name_; }
  const std::vector<std::string>& choices() const { return binding_.choices; }
  const std::vector<std::string>& default_values() const { return default_; }
  std::vector<std::string> values() const { return binding_.read(); }
  OptionKind kind() const { return binding_.kind; }
  OptionOrigin origin() const { return origin_; }
  bool is_required() const { return required_; }
  bool is_positional() const { return positional_; }
  bool is_list() const;
  bool has_value() const;          // not empty
  std::string range_text() const;  // "above 0, at most 1", or ""

 private:
  void check(const std::string& value, const std::string& where) const;

  std::string flag_, key_, group_, help_, unit_, value_name_;
  OptionBinding binding_;
  std::vector<std::string> default_;
  OptionOrigin origin_ = OptionOrigin::default_value;
  bool required_ = false, positional_ = false, comma_ = false, exclusive_ = false;
};

// The shortest text that reads back as the same number.
std::string option_text(int64_t value);
std::string option_text(double value);
std::string option_text(float value);
// The number of a text that Option::set has checked. Throws ContractError on any other.
int64_t option_integer(const std::string& text);
double option_real(const std::string& text);

// Binds a field of an options struct: bool, integers, float or double, std::string,
// std::filesystem::path, std::vector<std::string>, std::vector<int64_t>.
template <class T>
OptionBinding bind_option(T* field);

// The options of one subcommand in the order of help. The bound fields must outlive the table.
class OptionsTable {
 public:
  // Later add() calls belong to this heading of the help.
  void group(std::string name) { group_ = std::move(name); }

  // Declares --flag for `*field`, whose present value is the default.
  // Throws ContractError if the flag or its key is taken.
  template <class T>
  Option& add(std::string flag, T* field, std::string help) {
    return insert(std::move(flag), std::move(help), bind_option(field));
  }
  // Declares --flag for an enum, one text a value.
  template <class E>
  Option& add_choice(std::string flag, E* field, std::vector<std::pair<std::string, E>> choices,
                     std::string help);
  // Declares --flag, whose value names one of `presets` or is "none"; at most one a table.
  Option& add_preset(std::string flag, std::string* field, std::vector<OptionPreset> presets,
                     std::string help);
  // Sets the options of the chosen preset that neither a file nor a flag has set.
  void apply_preset();
  // Appends another table (what several subcommands share); its fields stay bound.
  void include(OptionsTable other);

  std::deque<Option>& entries() { return entries_; }
  const std::deque<Option>& entries() const { return entries_; }
  Option* find_flag(const std::string& flag);  // nullptr if there is none
  Option* find_key(const std::string& key);    // likewise
  std::vector<std::string> flags() const;
  std::vector<std::string> keys() const;

  // Throws UserError naming every required option that has no value.
  void check_required() const;
  std::string to_json() const;  // {"key":value,...} with the values in force
  std::string to_toml() const;  // the same, as a file that --config reads back

 private:
  Option& insert(std::string flag, std::string help, OptionBinding binding);

  std::string group_ = "Options";
  std::deque<Option> entries_;
  std::string preset_flag_;
  std::vector<OptionPreset> presets_;
};

// ---- Templates ----------------------------------------------------------------------------------

// Declared above.
template <class T>
OptionBinding bind_option(T* field) {
  using Texts = std::vector<std::string>;
  OptionBinding b;
  if constexpr (std::is_same_v<T, bool>) {
    b.kind = OptionKind::boolean;
    b.read = [field] { return Texts{*field ? "true" : "false"}; };
    b.write = [field](const Texts& v) { *field = v[0] == "true"; };
  } else if constexpr (std::is_integral_v<T>) {
    b.kind = OptionKind::integer;
    b.least = static_cast<double>(std::numeric_limits<T>::min());
    b.most = static_cast<double>(std::numeric_limits<T>::max());
    b.read = [field] { return Texts{option_text(static_cast<int64_t>(*field))}; };
    b.write = [field](const Texts& v) { *field = static_cast<T>(option_integer(v[0])); };
  } else if constexpr (std::is_floating_point_v<T>) {
    b.kind = OptionKind::real;
    b.read = [field] { return Texts{option_text(*field)}; };
    b.write = [field](const Texts& v) { *field = static_cast<T>(option_real(v[0])); };
  } else if constexpr (std::is_same_v<T, Texts>) {
    b.kind = OptionKind::text_list;
    b.read = [field] { return *field; };
    b.write = [field](const Texts& v) { *field = v; };
  } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
    b.kind = OptionKind::integer_list;
    b.read = [field] {
      Texts texts;
      for (const int64_t x : *field) texts.push_back(option_text(x));
      return texts;
    };
    b.write = [field](const Texts& v) {
      field->clear();
      for (const std::string& x : v) field->push_back(option_integer(x));
    };
  } else {
    static_assert(std::is_same_v<T, std::string> || std::is_same_v<T, std::filesystem::path>,
                  "no option binding for this type");
    b.read = [field] { return Texts{std::string(*field)}; };
    b.write = [field](const Texts& v) { *field = v[0]; };
  }
  return b;
}

template <class E>
Option& OptionsTable::add_choice(std::string flag, E* field,
                                 std::vector<std::pair<std::string, E>> choices, std::string help) {
  OptionBinding b;
  b.kind = OptionKind::choice;
  for (const auto& choice : choices) b.choices.push_back(choice.first);
  b.read = [field, choices] {
    for (const auto& [name, value] : choices) {
      if (value == *field) return std::vector<std::string>{name};
    }
    return std::vector<std::string>{""};
  };
  b.write = [field, choices](const std::vector<std::string>& v) {
    for (const auto& [name, value] : choices) {
      if (name == v[0]) *field = value;
    }
  };
  return insert(std::move(flag), std::move(help), std::move(b));
}

}  // namespace temper
