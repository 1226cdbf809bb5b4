// What `--reward` says: components with weights, parameters, gates and clamps.
//
// As text:  math=1, format(variant=think)=0.2, countdown=1 if format, length=0.1 clamp -1..0
//           item:   RULE [(PARAMETER=VALUE; ...)] [=WEIGHT] [as NAME] [for FIELD=VALUE|...]
//                   [if NAME | unless NAME] [clamp LO..HI]
//           `total clamp LO..HI` clamps the weighted sum.
// As a table of the configuration file:
//           [rewards]             a number is a weight:   math = 1
//           [rewards.format]      weight, rule, for = "FIELD=VALUE", if or unless = "NAME",
//                                 clamp = [LO, HI]; every other key is a parameter of the rule; a
//                                 list is the same as its items with '|' between
//           [rewards.total]       clamp = [LO, HI]
#pragma once

#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/config_file.h"

namespace temper {

struct RewardClamp {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

struct RewardComponentSpec {
  std::string name;  // of the row in the database; the rule's name unless given
  std::string rule;
  double weight = 1.0;
  std::map<std::string, std::string> parameters = {};
  std::string row_field = {};                // asked of rows whose field has one of row_values;
  std::vector<std::string> row_values = {};  // "": of every row
  std::string gate = {};      // counted only if the component of this name is ok; "": always
  bool gate_negated = false;  // counted only if it is not ok
  RewardClamp clamp = {};     // of the value, before the weight
};

struct RewardSpec {
  std::vector<RewardComponentSpec> components;
  RewardClamp total_clamp = {};
};

// Reads the text form. Throws UserError naming `where` ("--reward") and the item at fault.
RewardSpec parse_reward_spec(std::string_view text, const std::string& where);

// Whether a section of a configuration file belongs to the reward: [rewards] or [rewards.NAME].
bool is_reward_section(const std::string& section);

// Reads the table form from the reward's sections, passing over all others.
// Throws UserError "<where>:<line>" for the key at fault.
RewardSpec reward_spec_of_config(const std::vector<ConfigEntry>& entries, const std::string& where);

// The text form of a specification: what is stored with a run. parse(text_of(s)) is s.
std::string text_of(const RewardSpec& spec);

}  // namespace temper
