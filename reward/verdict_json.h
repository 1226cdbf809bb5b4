// What a rule outside of Temper (a program, a server) is told about a completion, and how its
// answer is read: one JSON object each.
#pragma once

#include <string>

#include "reward/rule.h"

namespace temper {

// {"prompt","completion","gold","tokens","truncated","row"} in one line; `tokens` is null if they
// are not known. Ill-formed UTF-8 becomes U+FFFD.
std::string judgement_request(const RewardInput& input);

// The verdict of an answer: a number, or {"value": number, "status", "extracted", "reason"} of
// which only `value` is needed. Without a status a value of 1 or more is ok, less is wrong.
// What cannot be read is an `error` that says so: never a 0.
Verdict read_judgement(const JsonValue& answer);
Verdict read_judgement(const std::string& text);

}  // namespace temper
