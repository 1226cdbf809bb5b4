#include "core/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/did_you_mean.h"
#include "core/error.h"
#include "core/json.h"

namespace temper {
namespace {

// A number with digits grouped by '_' (1_000_000) as TOML allows.
std::string without_underscores(const std::string& text) {
  std::string digits;
  for (const char c : text) {
    if (c != '_') digits += c;
  }
  if (digits.size() > 1 && digits[0] == '+') digits.erase(0, 1);
  return digits;
}

template <class T>
bool parse_number(const std::string& text, T* value) {
  const std::string digits = without_underscores(text);
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, *value);
  return error == std::errc() && stop == end && !digits.empty();
}

template <class T>
std::string number_text(T value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  return std::string(buffer, result.ptr);
}

std::string join(const std::vector<std::string>& words, const char* separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

std::vector<std::string> split_at_commas(const std::vector<std::string>& values) {
  std::vector<std::string> items;
  for (const std::string& value : values) {
    for (size_t begin = 0; begin <= value.size();) {
      const size_t end = std::min(value.find(',', begin), value.size());
      if (end > begin) items.push_back(value.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return items;
}

bool is_true(const std::string& text) {
  return text == "true" || text == "1" || text == "yes";
}
bool is_false(const std::string& text) {
  return text == "false" || text == "0" || text == "no";
}

// A TOML or JSON spelling of one value: both write numbers, booleans and strings alike.
std::string literal(OptionKind kind, const std::string& value) {
  const bool quoted = kind == OptionKind::text || kind == OptionKind::choice;
  return quoted ? quote_json(value) : value;
}

std::string literal(const Option& option) {
  const OptionKind kind = option.kind();
  if (!option.is_list()) return literal(kind, option.values()[0]);
  const OptionKind item = kind == OptionKind::text_list ? OptionKind::text : OptionKind::integer;
  std::vector<std::string> items;
  for (const std::string& value : option.values()) items.push_back(literal(item, value));
  return "[" + join(items, ", ") + "]";
}

}  // namespace

std::string option_text(int64_t value) {
  return number_text(value);
}
std::string option_text(double value) {
  return number_text(value);
}
std::string option_text(float value) {
  return number_text(value);
}

int64_t option_integer(const std::string& text) {
  int64_t value = 0;
  require(parse_number(text, &value), "an unchecked text reached an integer option");
  return value;
}

double option_real(const std::string& text) {
  double value = 0;
  require(parse_number(text, &value), "an unchecked text reached a number option");
  return value;
}

// ---- Option -------------------------------------------------------------------------------------

Option::Option(std::string flag, std::string group, std::string help, OptionBinding binding)
    : flag_(std::move(flag)),
      key_(flag_),
      group_(std::move(group)),
      help_(std::move(help)),
      binding_(std::move(binding)),
      default_(binding_.read()) {
  std::replace(key_.begin(), key_.end(), '-', '_');
}

Option& Option::unit(std::string text) {
  unit_ = std::move(text);
  return *this;
}

Option& Option::value_name(std::string text) {
  value_name_ = std::move(text);
  return *this;
}

Option& Option::range(double least, double most) {
  binding_.most = std::min(binding_.most, most);
  return at_least(least);
}

Option& Option::at_least(double least) {
  binding_.least = std::max(binding_.least, least);
  return *this;
}

Option& Option::above(double bound) {
  exclusive_ = true;
  return at_least(bound);
}

Option& Option::required() {
  required_ = true;
  return *this;
}

Option& Option::positional() {
  positional_ = true;
  return *this;
}

Option& Option::comma_separated() {
  comma_ = true;
  return *this;
}

Option& Option::key(std::string text) {
  key_ = std::move(text);
  return *this;
}

bool Option::is_list() const {
  return kind() == OptionKind::text_list || kind() == OptionKind::integer_list;
}

bool Option::has_value() const {
  const std::vector<std::string> texts = values();
  return !texts.empty() && !(texts.size() == 1 && texts[0].empty());
}

std::string Option::range_text() const {
  if (kind() != OptionKind::integer && kind() != OptionKind::real) return "";
  const auto shown = [](double bound) { return std::abs(bound) < 2e9 && std::isfinite(bound); };
  const auto text = [](double bound) { return option_text(bound); };
  const double least = binding_.least, most = binding_.most;
  if (shown(least) && shown(most) && !exclusive_) return text(least) + " to " + text(most);
  std::string words;
  if (shown(least)) words = (exclusive_ ? "above " : "at least ") + text(least);
  if (shown(most)) words += (words.empty() ? "at most " : ", at most ") + text(most);
  return words;
}

void Option::check(const std::string& value, const std::string& where) const {
  const auto fail = [&](const std::string& what, std::string expected, std::string hint = "") {
    throw UserError({what, where, std::move(expected), "'" + value + "'", std::move(hint)});
  };
  const auto check_range = [&](double x) {
    const bool low = exclusive_ ? !(x > binding_.least) : !(x >= binding_.least);
    if (low || !(x <= binding_.most)) fail(key_ + " is out of range", range_text());
  };
  switch (kind()) {
    case OptionKind::text:
    case OptionKind::text_list:
      break;
    case OptionKind::boolean:
      if (!is_true(value) && !is_false(value)) fail(key_ + " is not a boolean", "true or false");
      break;
    case OptionKind::integer:
    case OptionKind::integer_list: {
      int64_t x = 0;
      if (!parse_number(value, &x)) fail(key_ + " is not a whole number", "a whole number");
      check_range(static_cast<double>(x));
      break;
    }
    case OptionKind::real: {
      double x = 0;
      if (!parse_number(value, &x)) fail(key_ + " is not a number", "a number");
      if (!std::isfinite(x)) fail(key_ + " is not finite", "a finite number");
      check_range(x);
      break;
    }
    case OptionKind::choice: {
      const std::vector<std::string>& known = choices();
      if (std::find(known.begin(), known.end(), value) != known.end()) break;
      fail("unknown value of " + key_, "one of " + join(known, ", "), did_you_mean(value, known));
    }
  }
}

void Option::set(const std::vector<std::string>& values, const std::string& where,
                 OptionOrigin origin) {
  std::vector<std::string> items = comma_ ? split_at_commas(values) : values;
  if (!is_list() && items.size() != 1) {
    throw UserError(
        {key_ + " takes one value", where, "one value", join(items, " "), "give it once"});
  }
  for (const std::string& item : items) check(item, where);
  if (kind() == OptionKind::boolean) items[0] = is_true(items[0]) ? "true" : "false";
  binding_.write(items);
  origin_ = origin;
}

// ---- OptionsTable -------------------------------------------------------------------------------

Option& OptionsTable::insert(std::string flag, std::string help, OptionBinding binding) {
  Option option(std::move(flag), group_, std::move(help), std::move(binding));
  require(find_flag(option.flag()) == nullptr && find_key(option.key()) == nullptr,
          "two options share the flag --" + option.flag());
  return entries_.emplace_back(std::move(option));
}

Option& OptionsTable::add_preset(std::string flag, std::string* field,
                                 std::vector<OptionPreset> presets, std::string help) {
  require(preset_flag_.empty(), "a table has one option that names a preset");
  std::vector<std::pair<std::string, std::string>> choices{{"none", "none"}};
  for (const OptionPreset& preset : presets) choices.emplace_back(preset.name, preset.name);
  preset_flag_ = flag;
  presets_ = std::move(presets);
  return add_choice<std::string>(std::move(flag), field, std::move(choices), std::move(help));
}

void OptionsTable::apply_preset() {
  if (preset_flag_.empty()) return;
  const std::string chosen = find_flag(preset_flag_)->values()[0];
  for (const OptionPreset& preset : presets_) {
    if (preset.name != chosen) continue;
    for (const auto& [flag, value] : preset.values) {
      Option* option = find_flag(flag);
      require(option != nullptr, "a preset names an unknown option: " + flag);
      if (option->origin() > OptionOrigin::preset) continue;
      option->set({value}, "--" + preset_flag_ + " " + chosen, OptionOrigin::preset);
    }
  }
}

void OptionsTable::include(OptionsTable other) {
  for (Option& option : other.entries_) {
    require(find_flag(option.flag()) == nullptr && find_key(option.key()) == nullptr,
            "two options share the flag --" + option.flag());
    entries_.push_back(std::move(option));
  }
}

Option* OptionsTable::find_flag(const std::string& flag) {
  for (Option& option : entries_) {
    if (option.flag() == flag) return &option;
  }
  return nullptr;
}

Option* OptionsTable::find_key(const std::string& key) {
  for (Option& option : entries_) {
    if (option.key() == key) return &option;
  }
  return nullptr;
}

std::vector<std::string> OptionsTable::flags() const {
  std::vector<std::string> names;
  for (const Option& option : entries_) names.push_back(option.flag());
  return names;
}

std::vector<std::string> OptionsTable::keys() const {
  std::vector<std::string> names;
  for (const Option& option : entries_) names.push_back(option.key());
  return names;
}

void OptionsTable::check_required() const {
  std::string missing;
  for (const Option& option : entries_) {
    if (option.is_required() && !option.has_value()) {
      missing += missing.empty() ? "" : ", ";
      missing += option.is_positional() && !option.value_name().empty() ? option.value_name()
                                                                        : "--" + option.flag();
    }
  }
  if (missing.empty()) return;
  throw UserError({"a required option is missing", "", missing, "no value", "see --help"});
}

std::string OptionsTable::to_json() const {
  std::vector<std::string> members;
  for (const Option& option : entries_) {
    members.push_back(quote_json(option.key()) + ":" + literal(option));
  }
  return "{" + join(members, ",") + "}";
}

std::string OptionsTable::to_toml() const {
  std::string text, group;
  for (const Option& option : entries_) {
    if (option.group() != group) {
      text += (text.empty() ? "# " : "\n# ") + option.group() + "\n";
      group = option.group();
    }
    text += option.key() + " = " + literal(option);
    if (!option.unit().empty()) text += "  # " + option.unit();
    text += "\n";
  }
  return text;
}

}  // namespace temper
