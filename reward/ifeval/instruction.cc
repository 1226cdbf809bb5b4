#include "reward/ifeval/instruction.h"

namespace temper {
namespace {

std::vector<Instruction> all_instructions() {
  std::vector<Instruction> all;
  for (const auto& part : {keyword_instructions(), length_instructions(), format_instructions(),
                           style_instructions()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace

std::string InstructionInput::text(const char* name) const {
  const JsonValue* value = find_member(arguments, name);
  if (value != nullptr && value->IsString() && value->GetStringLength() > 0) {
    return {value->GetString(), value->GetStringLength()};
  }
  error = std::string("no text '") + name + "'";
  return "";
}

int64_t InstructionInput::integer(const char* name) const {
  const JsonValue* value = find_member(arguments, name);
  if (value != nullptr && value->IsInt64() && value->GetInt64() >= 0) return value->GetInt64();
  if (value != nullptr && value->IsDouble() && value->GetDouble() >= 0.0 &&
      value->GetDouble() < 1e9) {
    return static_cast<int64_t>(value->GetDouble());  // as some copies of the data write it
  }
  error = std::string("no count '") + name + "'";
  return 0;
}

std::vector<std::string> InstructionInput::texts(const char* name) const {
  std::vector<std::string> items;
  const JsonValue* value = find_member(arguments, name);
  if (value != nullptr && value->IsArray()) {
    for (const JsonValue& item : value->GetArray()) {
      if (item.IsString()) items.emplace_back(item.GetString(), item.GetStringLength());
    }
  }
  if (items.empty()) error = std::string("no texts '") + name + "'";
  return items;
}

bool InstructionInput::compares(int64_t count, const char* limit, const char* relation) const {
  const int64_t bound = integer(limit);
  const std::string word = text(relation);
  if (word == "at least") return count >= bound;
  if (word == "less than") return count < bound;
  error = std::string("'") + relation + "' is neither 'at least' nor 'less than'";
  return false;
}

InstructionCheck find_instruction(std::string_view id) {
  static const std::vector<Instruction> all = all_instructions();
  for (const Instruction& instruction : all) {
    if (instruction.id == id) return instruction.holds;
  }
  return nullptr;
}

}  // namespace temper
