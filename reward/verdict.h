// What a rule says about one completion. "Could not judge" is a verdict of its own, never a 0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace temper {

enum class VerdictStatus : uint8_t {
  ok,         // judged: the rule holds (for graded rules: the value is its full value)
  wrong,      // judged: it does not hold, or holds in part; `value` says how much
  no_answer,  // judged: the completion holds nothing to judge; the model's fault
  bad_gold,   // could not judge: the reference answer or the row is unusable
  timeout,    // judged: the completion's program or expression ran past its budget
  error,      // could not judge: the rule itself failed
  not_asked,  // nothing to judge: the rule is for rows of another kind
};
constexpr size_t kVerdictStatuses = 7;

struct Verdict {
  double value = 0.0;
  VerdictStatus status = VerdictStatus::error;
  std::string extracted = {};  // the part of the completion that was judged
  std::string reason = {};     // one clause a person can read; empty when there is nothing to add
  int64_t microseconds = 0;    // filled by the composite that calls the rule
};

// "ok", "wrong", "no_answer", "bad_gold", "timeout", "error": the words of the database; and
// "not_asked", which has no row there.
std::string_view name_of(VerdictStatus status);

// True for bad_gold and error: such a sample must not reach an update.
constexpr bool could_not_judge(VerdictStatus status) {
  return status == VerdictStatus::bad_gold || status == VerdictStatus::error;
}
// Whether the verdict has a value: it was asked for, and could be given.
constexpr bool was_judged(VerdictStatus status) {
  return !could_not_judge(status) && status != VerdictStatus::not_asked;
}

// A verdict of each status: value 1 for ok, 0 for the others; all but ok say why.
inline Verdict verdict_ok(std::string extracted, std::string reason = {}) {
  return {1.0, VerdictStatus::ok, std::move(extracted), std::move(reason), 0};
}
inline Verdict verdict_wrong(std::string extracted, std::string reason) {
  return {0.0, VerdictStatus::wrong, std::move(extracted), std::move(reason), 0};
}
inline Verdict verdict_no_answer(std::string reason) {
  return {0.0, VerdictStatus::no_answer, {}, std::move(reason), 0};
}
inline Verdict verdict_bad_gold(std::string reason) {
  return {0.0, VerdictStatus::bad_gold, {}, std::move(reason), 0};
}
inline Verdict verdict_error(std::string reason) {
  return {0.0, VerdictStatus::error, {}, std::move(reason), 0};
}
inline Verdict verdict_not_asked() {
  return {0.0, VerdictStatus::not_asked, {}, {}, 0};
}

}  // namespace temper
