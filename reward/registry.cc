#include "reward/registry.h"

#include <algorithm>
#include <cstdlib>

#include "core/did_you_mean.h"
#include "core/error.h"
#include "reward/rules/code.h"
#include "reward/rules/command.h"
#include "reward/rules/countdown.h"
#include "reward/rules/custom.h"
#include "reward/rules/exact.h"
#include "reward/rules/format.h"
#include "reward/rules/gsm8k.h"
#include "reward/rules/http.h"
#include "reward/rules/ifeval.h"
#include "reward/rules/language.h"
#include "reward/rules/length.h"
#include "reward/rules/math.h"
#include "reward/rules/mcq.h"
#include "reward/rules/regex.h"
#include "reward/rules/repetition.h"

namespace temper {
namespace {

template <class Items>
std::string joined_names(const Items& items) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + item.name;
  return text;
}

template <class Items>
std::string suggestion(const std::string& name, const Items& items) {
  std::vector<std::string> names;
  for (const auto& item : items) names.push_back(item.name);
  return did_you_mean(name, names);
}

}  // namespace

RuleParameters::RuleParameters(const std::string& rule, const std::vector<RuleParameterInfo>& known,
                               const std::map<std::string, std::string>& given,
                               const std::string& where)
    : rule_(rule), where_(where) {
  for (const RuleParameterInfo& info : known) values_[info.name] = info.fallback;
  for (const auto& [name, value] : given) {
    const auto info = std::find_if(known.begin(), known.end(),
                                   [&](const RuleParameterInfo& i) { return i.name == name; });
    if (info == known.end()) {
      throw UserError({.what = "reward rule '" + rule + "' has no parameter '" + name + "'",
                       .where = where,
                       .expected = known.empty() ? "no parameters" : joined_names(known),
                       .hint = suggestion(name, known)});
    }
    if (!info->choices.empty() &&
        std::find(info->choices.begin(), info->choices.end(), value) == info->choices.end()) {
      std::string expected;
      for (const std::string& c : info->choices) expected += (expected.empty() ? "" : ", ") + c;
      throw UserError({.what = "unknown value of '" + name + "' of reward rule '" + rule + "'",
                       .where = where,
                       .expected = "one of " + expected,
                       .found = value,
                       .hint = {}});
    }
    values_[name] = value;
  }
}

void RuleParameters::wrong_kind(const std::string& name, const std::string& expected) const {
  if (values_.at(name).empty()) {
    throw UserError({.what = "reward rule '" + rule_ + "' needs its parameter '" + name + "'",
                     .where = where_,
                     .expected = expected,
                     .found = {},
                     .hint = "for instance " + rule_ + "(" + name + "=...)=1"});
  }
  throw UserError({.what = "bad value of '" + name + "' of reward rule '" + rule_ + "'",
                   .where = where_,
                   .expected = expected,
                   .found = values_.at(name),
                   .hint = {}});
}

const std::string& RuleParameters::text(const std::string& name) const {
  const auto found = values_.find(name);
  require(found != values_.end(), "a rule reads a parameter that it does not declare");
  return found->second;
}

double RuleParameters::number(const std::string& name) const {
  const std::string& value = text(name);
  char* end = nullptr;
  const double x = std::strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0' || !(x - x == 0.0)) wrong_kind(name, "a finite number");
  return x;
}

int64_t RuleParameters::integer(const std::string& name) const {
  const std::string& value = text(name);
  char* end = nullptr;
  const int64_t x = std::strtoll(value.c_str(), &end, 10);
  if (value.empty() || *end != '\0') wrong_kind(name, "an integer");
  return x;
}

bool RuleParameters::flag(const std::string& name) const {
  const std::string& value = text(name);
  if (value != "true" && value != "false") wrong_kind(name, "true or false");
  return value == "true";
}

void RewardRegistry::add(RuleInfo rule) {
  for (const RuleInfo& known : rules_) {
    require(known.name != rule.name, "two reward rules of one name");
  }
  rules_.push_back(std::move(rule));
}

const RuleInfo& RewardRegistry::find(const std::string& name, const std::string& where) const {
  for (const RuleInfo& rule : rules_) {
    if (rule.name == name) return rule;
  }
  throw UserError({.what = "unknown reward rule",
                   .where = where,
                   .expected = "one of " + joined_names(rules_),
                   .found = name,
                   .hint = suggestion(name, rules_)});
}

std::unique_ptr<RewardRule> RewardRegistry::make(const std::string& name,
                                                 const std::map<std::string, std::string>& given,
                                                 const std::string& where) const {
  const RuleInfo& info = find(name, where);
  return info.make(RuleParameters(name, info.parameters, given, where));
}

RewardRegistry builtin_rules() {
  RewardRegistry registry;
  registry.add(math_rule());
  registry.add(gsm8k_rule());
  registry.add(mcq_rule());
  registry.add(exact_rule());
  registry.add(regex_rule());
  registry.add(countdown_rule());
  registry.add(format_rule());
  registry.add(ifeval_rule());
  registry.add(language_rule());
  registry.add(length_rule());
  registry.add(repetition_rule());
  registry.add(custom_rule());
  registry.add(command_rule());
  registry.add(http_rule());
  registry.add(code_rule());
  return registry;
}

}  // namespace temper
