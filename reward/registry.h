// Rules by name: what `--reward` can refer to, with their parameters documented and checked.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reward/rule.h"

namespace temper {

// One parameter of a rule: every one has a default, so a bare name is a complete use.
struct RuleParameterInfo {
  std::string name;
  std::string fallback;
  std::string help;
  std::vector<std::string> choices = {};  // empty: any value of the right kind
};

// The parameters of one use of a rule: given values over documented defaults.
class RuleParameters {
 public:
  // Throws UserError for a name the rule does not have (with the nearest one it has) and for a
  // value outside the choices. `where` names the reward specification.
  RuleParameters(const std::string& rule, const std::vector<RuleParameterInfo>& known,
                 const std::map<std::string, std::string>& given, const std::string& where);

  // Throws UserError if the text is not of the type asked for.
  const std::string& text(const std::string& name) const;
  double number(const std::string& name) const;
  int64_t integer(const std::string& name) const;
  bool flag(const std::string& name) const;

 private:
  [[noreturn]] void wrong_kind(const std::string& name, const std::string& expected) const;

  std::string rule_, where_;
  std::map<std::string, std::string> values_;
};

using RuleFactory = std::function<std::unique_ptr<RewardRule>(const RuleParameters&)>;

struct RuleInfo {
  std::string name;
  std::string summary;  // one line for `temper reward list`
  std::vector<RuleParameterInfo> parameters;
  RuleFactory make;
};

class RewardRegistry {
 public:
  // Throws ContractError if the name is taken.
  void add(RuleInfo rule);
  const std::vector<RuleInfo>& rules() const { return rules_; }
  // Throws UserError for an unknown name, with the nearest known one.
  const RuleInfo& find(const std::string& name, const std::string& where) const;
  // The rule `name` under `given` parameters. Throws UserError.
  std::unique_ptr<RewardRule> make(const std::string& name,
                                   const std::map<std::string, std::string>& given,
                                   const std::string& where) const;

 private:
  std::vector<RuleInfo> rules_;
};

// A registry of all rules that need no model.
RewardRegistry builtin_rules();

}  // namespace temper
