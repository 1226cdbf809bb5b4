#include "reward/preference/data.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "data/dataset.h"
#include "data/jsonl.h"
#include "data/row_fields.h"

namespace temper {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& where,
                         const JsonValue& found) {
  throw UserError({.what = what,
                   .where = where,
                   .expected = R"({"prompt":...,"chosen":...,"rejected":...} or )"
                               R"({"prompt":...,"answer":...,"label":true})",
                   .found = to_text(found).substr(0, 80)});
}

// A turn as {"role","content"} or, as ShareGPT has it, {"from","value"}.
Message read_turn(const JsonValue& turn, const std::string& where) {
  const JsonValue* role = find_member(turn, "role");
  const JsonValue* content = find_member(turn, "content");
  if (role == nullptr) role = find_member(turn, "from");
  if (content == nullptr) content = find_member(turn, "value");
  if (role == nullptr || !role->IsString() || content == nullptr || !content->IsString())
    refuse("a turn has no text under \"role\" and \"content\"", where, turn);
  std::string name = value_text(*role);
  if (name == "human") name = "user";
  if (name == "gpt") name = "assistant";
  return {std::move(name), value_text(*content)};
}

Conversation read_turns(const JsonValue& list, const std::string& where) {
  Conversation turns;
  for (const JsonValue& turn : list.GetArray()) turns.push_back(read_turn(turn, where));
  return turns;
}

// An answer with what stands before it, where it is a conversation.
Conversation read_answer(const JsonValue& row, const char* key, const std::string& where) {
  const JsonValue* answer = find_member(row, key);
  if (answer == nullptr) refuse("the row has no \"" + std::string(key) + "\"", where, row);
  if (answer->IsString()) return {{"assistant", value_text(*answer)}};
  Conversation turns;
  if (answer->IsObject()) turns.push_back(read_turn(*answer, where));
  if (answer->IsArray()) turns = read_turns(*answer, where);
  if (turns.empty() || turns.back().role != "assistant")
    refuse("\"" + std::string(key) + "\" does not end with an answer", where, *answer);
  return turns;
}

bool same_turns(const Conversation& a, const Conversation& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Message& x, const Message& y) {
    return x.role == y.role && x.content == y.content;
  });
}

PreferenceRow read_pair(const JsonValue& row, const std::string& where) {
  PreferenceRow out;
  out.prompt = read_question(row, where);
  Conversation chosen = read_answer(row, "chosen", where);
  Conversation rejected = read_answer(row, "rejected", where);
  out.answers = {chosen.back().content, rejected.back().content};
  out.good = {true, false};
  chosen.pop_back(), rejected.pop_back();
  if (!same_turns(chosen, rejected))
    refuse("\"chosen\" and \"rejected\" answer different conversations", where, row);
  if (!chosen.empty()) out.prompt = std::move(chosen);  // data sets of this form repeat the prompt
  return out;
}

bool read_label(const JsonValue& row, const std::string& where) {
  for (const char* key : {"label", "safe", "good"}) {
    const JsonValue* label = find_member(row, key);
    if (label == nullptr) continue;
    if (label->IsBool()) return label->GetBool();
    if (label->IsInt() && (label->GetInt() == 0 || label->GetInt() == 1)) return label->GetInt();
    refuse("\"" + std::string(key) + "\" is neither true, false, 1 nor 0", where, *label);
  }
  refuse("the row has neither a pair nor a label", where, row);
}

PreferenceRow read_labelled(const JsonValue& row, const std::string& where) {
  PreferenceRow out;
  out.prompt = read_question(row, where);
  out.good = {read_label(row, where)};
  if (const JsonValue* answer = find_completion(row)) {
    out.answers = {value_text(*answer)};
  } else if (!out.prompt.empty() && out.prompt.back().role == "assistant") {
    out.answers = {out.prompt.back().content};
    out.prompt.pop_back();
  } else {
    refuse("the row has no answer", where, row);
  }
  return out;
}

std::string key_of(const Conversation& prompt) {
  std::string key;
  for (const Message& m : prompt) key += m.role + '\0' + m.content + '\0';
  return key;
}

}  // namespace

Conversation read_question(const JsonValue& row, const std::string& where) {
  for (const char* key : {"messages", "conversations"}) {
    const JsonValue* list = find_member(row, key);
    if (list != nullptr && list->IsArray()) return read_turns(*list, where);
  }
  const JsonValue* question = find_question(row);
  if (question == nullptr) return {};
  if (question->IsArray()) return read_turns(*question, where);
  return {{"user", value_text(*question)}};
}

PreferenceRow read_preference(const JsonValue& row, const std::string& where) {
  const bool pair =
      find_member(row, "chosen") != nullptr || find_member(row, "rejected") != nullptr;
  PreferenceRow out = pair ? read_pair(row, where) : read_labelled(row, where);
  if (out.prompt.empty()) refuse("the row has no prompt", where, row);
  if (out.prompt.back().role != "user")
    refuse("the conversation before the answer does not end with the user", where, row);
  return out;
}

std::vector<PreferenceRow> read_preferences(const std::vector<std::filesystem::path>& files) {
  std::vector<PreferenceRow> out;
  for (const std::filesystem::path& file : files) {
    JsonlReader rows(file);
    while (rows.next()) out.push_back(read_preference(rows.row(), rows.where()));
  }
  if (out.empty())
    throw UserError({.what = "the data has no row",
                     .where = files.empty() ? "--data" : files.front().string()});
  return out;
}

PreferenceSplit split_preferences(const std::vector<PreferenceRow>& rows, double share,
                                  uint64_t seed) {
  std::map<std::string, size_t> number_of;  // of a prompt, in the order of first appearance
  std::vector<size_t> prompt_of;
  for (const PreferenceRow& row : rows)
    prompt_of.push_back(number_of.emplace(key_of(row.prompt), number_of.size()).first->second);
  const size_t prompts = number_of.size();
  const auto held = static_cast<size_t>(share * static_cast<double>(prompts));
  std::vector<bool> is_held(prompts);
  for (uint32_t p : split_held_out(prompts, held, seed).held_out) is_held[p] = true;
  PreferenceSplit split;
  for (size_t i = 0; i < rows.size(); ++i)
    (is_held[prompt_of[i]] ? split.held_out : split.train).push_back(i);
  return split;
}

}  // namespace temper
