#include "reward/preference/judge_cache.h"

#include <fstream>
#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"

namespace temper {
namespace {

// Reads one line into the cache; false if it is none of ours, or not whole.
bool read_line(const std::string& line, std::map<std::string, std::vector<std::string>>& known) {
  Json json;
  try {
    json = parse_json(line, "cache");
  } catch (const UserError&) {
    return false;
  }
  const JsonValue* key = find_member(json, "key");
  const JsonValue* answers = find_member(json, "answers");
  if (key == nullptr || !key->IsString() || answers == nullptr || !answers->IsArray()) return false;
  std::vector<std::string> texts;
  for (const JsonValue& answer : answers->GetArray()) {
    if (!answer.IsString()) return false;
    texts.emplace_back(answer.GetString(), answer.GetStringLength());
  }
  known[key->GetString()] = std::move(texts);
  return true;
}

}  // namespace

JudgeCache::JudgeCache(const std::filesystem::path& file) : file_(file) {
  if (file_.empty() || !std::filesystem::exists(file_)) return;
  const std::string text = read_file(file_);
  ends_open_ = !text.empty() && text.back() != '\n';
  std::istringstream lines(text);
  std::string line, foreign;
  while (std::getline(lines, line))
    if (!line.empty() && !read_line(line, known_)) foreign = line;
  if (known_.empty() && !foreign.empty())
    throw UserError({.what = "not a judge's cache",
                     .where = file_.string(),
                     .expected = R"({"key":"...","answers":["..."]})",
                     .found = foreign.substr(0, 80),
                     .hint = "give cache another file"});
}

std::string JudgeCache::key_of(const std::string& everything) {
  return fingerprint(everything).substr(6) + fingerprint("judge " + everything).substr(6);
}

const std::vector<std::string>* JudgeCache::find(const std::string& key) const {
  const auto found = known_.find(key);
  return found == known_.end() ? nullptr : &found->second;
}

void JudgeCache::add(const std::string& key, const std::vector<std::string>& answers) {
  known_[key] = answers;
  if (file_.empty()) return;
  std::string line = "{\"key\":" + quote_json(key) + ",\"answers\":[";
  for (size_t i = 0; i < answers.size(); ++i) line += (i > 0 ? "," : "") + quote_json(answers[i]);
  std::ofstream out(file_, std::ios::app);
  // What a crash cut off stays on a line of its own.
  out << (ends_open_ ? "\n" : "") << line << "]}\n" << std::flush;
  ends_open_ = false;
  if (!out) throw SystemError("cannot write the judge's cache " + file_.string());
}

}  // namespace temper
