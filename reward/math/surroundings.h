// What stands directly around a marked answer and belongs to it: a sign before the box, a unit or
// a power behind it, words that deny it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace temper {

// Whether the words right before `begin` deny or bound what follows: "is not", "less than".
bool is_denied_before(std::string_view text, size_t begin);

// What stands behind an answer that ends at `end`.
struct Behind {
  bool changes = false;  // it makes another answer of it: "+ 1", "squared", "or 12", "is wrong"
  std::string unit;      // it belongs to it: " \text{cm}", " \text{million}", "\%"
};
Behind behind_answer(std::string_view text, size_t end);

// A box in `text` from `begin` to `end`, with its content.
struct BoxPlace {
  size_t begin = 0, end = 0;
  std::string_view content;
};

// The answer that the box gives: its content; where something of the same formula is joined to it
// (-, \sqrt{, \%, + 1, cm), that formula from its last "=" on with the content in the box's place.
// nullopt with a reason if the box is a part of a formula outside delimiters, or is denied.
std::optional<std::string> boxed_answer(std::string_view text, const BoxPlace& box,
                                        std::string& reason);

}  // namespace temper
