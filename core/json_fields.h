// Typed reading of a JSON object's members, with errors that name the file, the key, what was
// expected and what was found.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "core/json.h"

namespace temper {

// A view of one JSON object. The object must outlive it. An absent key and null are the same: the
// `_or` functions then give their fallback, the others throw. All throw UserError for a value of
// another type or outside of its range.
class JsonFields {
 public:
  // `where` names the file; `prefix` is put before keys in messages: "rope_scaling.".
  // Throws UserError if `object` is not an object.
  JsonFields(const JsonValue& object, std::string where, std::string prefix = "");

  bool has(const char* key) const { return find(key) != nullptr; }

  // A whole number from `least` to `most`, also where it is written as 7.0.
  int64_t integer(const char* key, int64_t least, int64_t most = kMost) const;
  int64_t integer_or(const char* key, int64_t fallback, int64_t least, int64_t most = kMost) const;
  // Integers and doubles alike; must be finite and > 0 unless `least` says otherwise.
  double number(const char* key, double least = kPositive) const;
  double number_or(const char* key, double fallback, double least = kPositive) const;
  bool boolean_or(const char* key, bool fallback) const;
  std::string text(const char* key) const;
  std::string text_or(const char* key, const std::string& fallback) const;
  // One of `known`; the message lists them, and suggests the nearest where a slip is likely.
  std::string choice(const char* key, const std::vector<std::string>& known) const;
  std::string choice_or(const char* key, const std::string& fallback,
                        const std::vector<std::string>& known) const;
  // One integer or a list of them; empty if absent.
  std::vector<int64_t> integers_or_none(const char* key, int64_t least) const;
  // A member that is itself an object.
  JsonFields object(const char* key) const;

  // Throws the UserError that these functions throw, for a caller's own check of `key`.
  [[noreturn]] void fail(const char* key, const std::string& expected,
                         const std::string& hint = "") const;
  // Throws UserError for a member that nobody has asked for, if it is a slip of two letters at most
  // away from a key that was asked for and that the object lacks. Call it behind the last question.
  void refuse_mistyped() const;
  const std::string& where() const { return where_; }

  static constexpr int64_t kMost = int64_t{1} << 40;
  static constexpr double kPositive = 5e-324;  // the smallest number above 0

 private:
  const JsonValue* find(const char* key) const;
  const JsonValue& need(const char* key, const char* expected) const;
  std::string slip_for(const std::string& key) const;

  const JsonValue* object_;
  std::string where_, prefix_;
  mutable std::set<std::string> asked_;
};

}  // namespace temper
