// The program in a completion.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "reward/code/task.h"

namespace temper {

struct ExtractedProgram {
  std::string text;
  CodeLanguage language = CodeLanguage::python;
};

// The content of the last fenced block (``` or ~~~ at the start of a line, of at least three) in
// what follows the last </think>, among those whose tag is the language (`language`, or either of
// them if that is not given) or that have no tag; without any fence and with `raw`, all of what
// follows. nullopt with a reason if there is none, the thinking or the last fence is never closed,
// or the program is empty or longer than 256 KiB.
std::optional<ExtractedProgram> extract_program(std::string_view completion,
                                                std::optional<CodeLanguage> language, bool raw,
                                                std::string& reason);

}  // namespace temper
