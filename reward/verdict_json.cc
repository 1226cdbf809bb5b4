#include "reward/verdict_json.h"

#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/utf8.h"
#include "reward/text.h"

namespace temper {
namespace {

std::string quoted(std::string_view text) {
  return quote_json(find_invalid_utf8(text) == std::string_view::npos ? std::string(text)
                                                                      : repair_utf8(text));
}

std::optional<VerdictStatus> status_of(std::string_view word) {
  for (const VerdictStatus status :
       {VerdictStatus::ok, VerdictStatus::wrong, VerdictStatus::no_answer, VerdictStatus::bad_gold,
        VerdictStatus::timeout, VerdictStatus::error}) {
    if (name_of(status) == word) return status;
  }
  return std::nullopt;
}

std::string text_member(const JsonValue& object, const char* name) {
  const JsonValue* value = find_member(object, name);
  return value == nullptr ? "" : value_text(*value);
}

Verdict verdict_of_value(double value) {
  Verdict verdict = value >= 1.0 ? verdict_ok({}) : verdict_wrong({}, {});
  verdict.value = value;
  return verdict;
}

}  // namespace

std::string judgement_request(const RewardInput& input) {
  return "{\"prompt\":" + quoted(input.prompt) + ",\"completion\":" + quoted(input.completion) +
         ",\"gold\":" + quoted(input.gold) + ",\"tokens\":" +
         (input.completion_tokens < 0 ? "null" : std::to_string(input.completion_tokens)) +
         ",\"truncated\":" + (input.truncated ? "true" : "false") +
         ",\"row\":" + (input.row == nullptr ? "null" : to_text(*input.row)) + "}";
}

Verdict read_judgement(const JsonValue& answer) {
  if (answer.IsNumber()) return verdict_of_value(answer.GetDouble());
  if (!answer.IsObject()) return verdict_error("the answer is neither a number nor an object");
  const std::string word = text_member(answer, "status");
  const std::optional<VerdictStatus> status = word.empty() ? std::nullopt : status_of(word);
  if (!word.empty() && !status) return verdict_error("unknown status '" + shortened(word) + "'");
  const JsonValue* value = find_member(answer, "value");
  Verdict verdict;
  if (value != nullptr && value->IsNumber() && std::isfinite(value->GetDouble())) {
    verdict = verdict_of_value(value->GetDouble());
  } else if (value != nullptr || !status || was_judged(*status)) {
    return verdict_error("the answer has no number 'value'");
  }
  if (status) verdict.status = *status;
  if (!was_judged(verdict.status)) verdict.value = 0.0;
  verdict.extracted = text_member(answer, "extracted");
  verdict.reason = text_member(answer, "reason");
  return verdict;
}

Verdict read_judgement(const std::string& text) {
  try {
    return read_judgement(parse_json(text, "answer"));
  } catch (const UserError& error) {
    return verdict_error("not JSON: " + shortened(text));
  }
}

}  // namespace temper
