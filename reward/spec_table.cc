// The table form of a reward: [reward] in a configuration file.
#include "core/error.h"
#include "reward/spec.h"

namespace temper {
namespace {

[[noreturn]] void fail(const std::string& where, const std::string& expected,
                       const JsonValue& found) {
  throw UserError({.what = "cannot read the reward table",
                   .where = where,
                   .expected = expected,
                   .found = to_text(found),
                   .hint = {}});
}

double number_of(const JsonValue& value, const std::string& where) {
  if (!value.IsNumber()) fail(where, "a number", value);
  return value.GetDouble();
}

std::string string_of(const JsonValue& value, const std::string& where) {
  if (!value.IsString()) fail(where, "a string", value);
  return value.GetString();
}

RewardClamp clamp_of(const JsonValue& value, const std::string& where) {
  if (!value.IsArray() || value.Size() != 2) fail(where, "[low, high]", value);
  const RewardClamp clamp{number_of(value[0], where), number_of(value[1], where)};
  if (clamp.low > clamp.high) fail(where, "[low, high] with low <= high", value);
  return clamp;
}

std::string parameter_of(const JsonValue& value, const std::string& where) {
  if (value.IsString()) return value.GetString();
  if (value.IsBool()) return value.GetBool() ? "true" : "false";
  if (value.IsNumber()) return to_text(value);
  fail(where, "a string, a number or a boolean", value);
}

RewardComponentSpec component_of(const std::string& name, const JsonValue& value,
                                 const std::string& where) {
  RewardComponentSpec component{.name = name, .rule = name};
  if (value.IsNumber()) {
    component.weight = value.GetDouble();
    return component;
  }
  if (!value.IsObject()) fail(where, "a weight or a table", value);
  for (auto member = value.MemberBegin(); member != value.MemberEnd(); ++member) {
    const std::string key = member->name.GetString();
    const std::string at = where + "." + key;
    if (key == "weight") {
      component.weight = number_of(member->value, at);
    } else if (key == "rule") {
      component.rule = string_of(member->value, at);
    } else if (key == "if") {
      component.gate = string_of(member->value, at);
    } else if (key == "clamp") {
      component.clamp = clamp_of(member->value, at);
    } else {
      component.parameters[key] = parameter_of(member->value, at);
    }
  }
  return component;
}

}  // namespace

RewardSpec reward_spec_of_table(const JsonValue& table, const std::string& where) {
  if (!table.IsObject()) fail(where, "a table of components", table);
  RewardSpec spec;
  for (auto member = table.MemberBegin(); member != table.MemberEnd(); ++member) {
    const std::string name = member->name.GetString();
    const std::string at = where + "." + name;
    if (name == "total") {
      const JsonValue* clamp =
          member->value.IsObject() ? find_member(member->value, "clamp") : nullptr;
      if (clamp == nullptr) fail(at, "{clamp = [low, high]}", member->value);
      spec.total_clamp = clamp_of(*clamp, at + ".clamp");
    } else {
      spec.components.push_back(component_of(name, member->value, at));
    }
  }
  return spec;
}

}  // namespace temper
