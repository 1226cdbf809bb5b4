// The table form of a reward: the sections [rewards] and [rewards.NAME] of a configuration file.
#include <cstdlib>

#include "core/error.h"
#include "reward/spec.h"

namespace temper {
namespace {

constexpr std::string_view kSection = "rewards";

class TableReader {
 public:
  explicit TableReader(const std::string& where) : where_(where) {}

  RewardSpec read(const std::vector<ConfigEntry>& entries) {
    for (const ConfigEntry& entry : entries) {
      if (entry.section == kSection && entry.key.empty()) continue;
      if (entry.section == kSection) {
        component(entry.key).weight = number_of(entry, item_of(entry));
      } else if (is_reward_section(entry.section)) {
        const std::string name = entry.section.substr(kSection.size() + 1);
        if (name == "total") {
          if (entry.key != "clamp") fail(entry, "clamp = [low, high]");
          spec_.total_clamp = clamp_of(entry);
        } else {
          RewardComponentSpec& named = component(name);  // [rewards.math] alone is math=1
          if (!entry.key.empty()) read_key(named, entry);
        }
      }
    }
    return std::move(spec_);
  }

 private:
  void read_key(RewardComponentSpec& component, const ConfigEntry& entry) {
    if (entry.key == "clamp") {
      component.clamp = clamp_of(entry);
    } else if (entry.key == "weight") {
      component.weight = number_of(entry, item_of(entry));
    } else if (entry.key == "rule") {
      component.rule = item_of(entry);
    } else if (entry.key == "for") {
      const RewardComponentSpec rows = rows_of(entry);
      component.row_field = rows.row_field;
      component.row_values = rows.row_values;
    } else if (entry.key == "if" || entry.key == "unless") {
      if (!component.gate.empty()) fail(entry, "one gate, if or unless");
      component.gate = item_of(entry);
      component.gate_negated = entry.key == "unless";
    } else {
      component.parameters[entry.key] = joined(entry);
    }
  }

  // As the text form says it: "FIELD=VALUE|VALUE".
  RewardComponentSpec rows_of(const ConfigEntry& entry) const {
    const std::string where = where_ + ":" + std::to_string(entry.line);
    return parse_reward_spec("x for " + item_of(entry), where).components.at(0);
  }

  RewardComponentSpec& component(const std::string& name) {
    for (RewardComponentSpec& known : spec_.components) {
      if (known.name == name) return known;
    }
    spec_.components.push_back({.name = name, .rule = name});
    return spec_.components.back();
  }

  // A parameter's list is what its text form is: items with '|' between.
  std::string joined(const ConfigEntry& entry) const {
    std::string text;
    for (size_t i = 0; i < entry.value.items.size(); ++i) {
      const std::string& item = entry.value.items[i];
      if (entry.value.list && item.find('|') != std::string::npos) fail(entry, "items without '|'");
      text += (i == 0 ? "" : "|") + item;
    }
    return text;
  }

  const std::string& item_of(const ConfigEntry& entry) const {
    if (entry.value.list) fail(entry, "one value, not an array");
    return entry.value.items.front();
  }

  double number_of(const ConfigEntry& entry, const std::string& item) const {
    if (entry.value.kind != ConfigKind::integer && entry.value.kind != ConfigKind::real) {
      fail(entry, "a number");
    }
    return std::strtod(item.c_str(), nullptr);
  }

  RewardClamp clamp_of(const ConfigEntry& entry) const {
    if (!entry.value.list || entry.value.items.size() != 2) fail(entry, "[low, high]");
    const RewardClamp clamp{number_of(entry, entry.value.items[0]),
                            number_of(entry, entry.value.items[1])};
    if (clamp.low > clamp.high) fail(entry, "[low, high] with low <= high");
    return clamp;
  }

  [[noreturn]] void fail(const ConfigEntry& entry, const std::string& expected) const {
    throw UserError({.what = "cannot read the reward's '" + entry.key + "'",
                     .where = where_ + ":" + std::to_string(entry.line),
                     .expected = expected,
                     .found = {},
                     .hint = {}});
  }

  std::string where_;
  RewardSpec spec_;
};

}  // namespace

bool is_reward_section(const std::string& section) {
  return section == kSection || section.starts_with(std::string(kSection) + ".");
}

RewardSpec reward_spec_of_config(const std::vector<ConfigEntry>& entries,
                                 const std::string& where) {
  return TableReader(where).read(entries);
}

}  // namespace temper
