// Small text tools of the rules.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace temper {

// Without the white space at both ends: ASCII's and Unicode's, zero-width characters included.
std::string_view trimmed(std::string_view text);

// Bytes of the one white-space character that `text` begins with, or 0.
size_t leading_space(std::string_view text);

// How often `piece` (not empty) occurs, not counting overlaps.
size_t count_of(std::string_view text, std::string_view piece);

// The part of a completion that an answer may stand in: what follows the last </think>, or all of
// it if there is no thinking; nothing if it begins with <think> and never closes it. At most its
// last 16 KiB, so that a rule's cost does not grow with an endless completion.
std::string_view after_thinking(std::string_view completion);

// The same without the limit on its length.
std::string_view final_part(std::string_view completion);

// What stands before the last </think>, without an opening <think>; all of the completion if it
// never closes its thinking, or does not think.
std::string_view thinking_part(std::string_view completion);

// Whether the prompt opens the thinking, as R1's chat template does, and the completion never
// closes it: then it holds no final part at all.
bool thinks_without_end(std::string_view prompt, std::string_view completion);

// The first `limit` bytes, cut at a whole UTF-8 character, with "..." if cut: for reasons.
std::string shortened(std::string_view text, size_t limit = 80);

// What stands between the only <answer> and the only </answer> of `text`, trimmed.
// nullopt with a reason if there is not exactly one pair.
std::optional<std::string_view> only_answer(std::string_view text, std::string& reason);

// The answer that a rule of plain texts judges: what stands between the only <answer> and </answer>
// of the final part, or, where there are no such tags, all of it, trimmed.
// nullopt with a reason if the thinking is not closed, or there is no answer or more than one.
std::optional<std::string_view> answer_of(std::string_view prompt, std::string_view completion,
                                          std::string& reason);

// Trimmed, and every run of white space within as one space.
std::string with_single_spaces(std::string_view text);

}  // namespace temper
