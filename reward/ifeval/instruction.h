// The 25 instructions of IFEval, each a check of a response's text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace temper {

// What an instruction's check may look at. `error` is set where an argument is missing or of the
// wrong kind: then the row is at fault, whatever the response.
struct InstructionInput {
  std::string_view response;
  const JsonValue& arguments;  // the instruction's own kwargs
  mutable std::string error = {};

  // An argument of the instruction; where it is absent or of another kind, `error` says so.
  std::string text(const char* name) const;
  int64_t integer(const char* name) const;
  std::vector<std::string> texts(const char* name) const;
  // Whether `count` stands to the argument `limit` as the argument `relation` says: "at least" or
  // "less than".
  bool compares(int64_t count, const char* limit, const char* relation) const;
};

using InstructionCheck = bool (*)(const InstructionInput&);

struct Instruction {
  std::string_view id;  // "keywords:existence"
  InstructionCheck holds;
};

// Source: "Instruction-Following Evaluation for Large Language Models" (Zhou et al., 2023), table
// 3 and appendix A; docs/rewards.md says each one exactly.
std::vector<Instruction> keyword_instructions();
std::vector<Instruction> length_instructions();
std::vector<Instruction> format_instructions();
std::vector<Instruction> style_instructions();  // case, start and end, combination, language

// The check of that id, or nullptr.
InstructionCheck find_instruction(std::string_view id);

}  // namespace temper
