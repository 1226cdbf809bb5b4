// The shapes of data rows that people have, read into conversations and ids.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/sample.h"

namespace temper {

// The member "messages", a list of {"role","content"}. Throws UserError naming `where`.
Conversation read_messages(const JsonValue& row, const std::string& where);

// The member `key`, a list of integers from 0 to below `limit` (0: no limit). Throws UserError
// naming `where` and the first that is not.
std::vector<int32_t> read_id_list(const JsonValue& row, const char* key, int64_t limit,
                                  const std::string& where);

// What is asked: the first of prompt, question, problem, instruction that the row has; nullptr if
// it has none.
const JsonValue* find_question(const JsonValue& row);

// What is to be learnt: the first of completion, response, output, solution, answer.
const JsonValue* find_completion(const JsonValue& row);

// The reference answer: the first of gold, answer, solution, target; of a text with "####"
// (GSM8K) what follows the last one; "" if the row has none.
std::string read_gold(const JsonValue& row);

}  // namespace temper
