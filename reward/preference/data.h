// Data files as preferences: answers to a conversation, and which of them are good.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/sample.h"

namespace temper {

struct PreferenceRow {
  Conversation prompt;               // up to the answer
  std::vector<std::string> answers;  // the better and the worse one of a pair; or one with a label
  std::vector<bool> good;            // of each answer
  bool is_pair() const { return answers.size() == 2; }
};

// The conversation under "messages", "conversations", or the row's question; empty if it has none.
// Throws UserError naming `where` for turns that are none.
Conversation read_question(const JsonValue& row, const std::string& where);

// Turns one row into preferences:
//   {"prompt"|"question"|"instruction"|...: text or messages, "chosen": A, "rejected": B}
//   {"messages":[...] or "conversations":[{"from","value"}], "chosen": A, "rejected": B}
//   {"chosen":[messages], "rejected":[messages]}        the prompt is what stands before the
//   answers
//   {"prompt" or "messages", "completion"|"answer"|..., "label": true}   also 1 or 0, and "safe":
// where A is a text, a message, or a list of messages that ends with the answer.
// Throws UserError naming `where` if the row is none of these.
PreferenceRow read_preference(const JsonValue& row, const std::string& where);

// Reads whole files (JSON lines or one JSON list). Throws UserError naming file and line for a bad
// row, and if there is no row.
std::vector<PreferenceRow> read_preferences(const std::vector<std::filesystem::path>& files);

// Which rows are held out: rows of one prompt go together, so that no prompt is on both sides.
// Depends on (seed, prompts, share) alone. Both lists ascend.
struct PreferenceSplit {
  std::vector<size_t> train, held_out;
};
PreferenceSplit split_preferences(const std::vector<PreferenceRow>& rows, double share,
                                  uint64_t seed);

}  // namespace temper
