#include "reward/code/extract_program.h"

#include <algorithm>

#include "reward/text.h"

namespace temper {
namespace {

constexpr size_t kLongestProgram = 256 << 10;

struct Fence {
  char mark = '`';
  size_t length = 0;      // 0: the line is none
  std::string_view info;  // what stands after the marks, trimmed
};

Fence fence_of(std::string_view line) {
  size_t spaces = 0;
  while (spaces < line.size() && line[spaces] == ' ') ++spaces;
  line.remove_prefix(spaces);
  if (line.empty() || (line.front() != '`' && line.front() != '~')) return {};
  Fence fence{line.front(), 0, {}};
  while (fence.length < line.size() && line[fence.length] == fence.mark) ++fence.length;
  fence.info = trimmed(line.substr(fence.length));
  // `code` in a line of its own words is no fence.
  const bool inside = fence.mark == '`' && fence.info.find('`') != std::string_view::npos;
  return fence.length < 3 || inside ? Fence{} : fence;
}

struct Blocks {
  std::optional<std::string_view> last;  // that may be the program
  CodeLanguage language = CodeLanguage::python;
  bool any = false, open = false;  // a fence was seen; the last one is not closed
};

Blocks read_blocks(std::string_view text, std::optional<CodeLanguage> wanted) {
  Blocks blocks;
  Fence opening;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const Fence fence = fence_of(text.substr(at, end - at));
    const size_t next = std::min(end + 1, text.size());
    if (fence.length > 0 && !blocks.open) {
      blocks.any = blocks.open = true;
      opening = fence;
      begin = next;
    } else if (fence.mark == opening.mark && fence.length >= opening.length && blocks.open &&
               fence.info.empty()) {
      blocks.open = false;
      const std::string_view tag = opening.info.substr(0, opening.info.find_first_of(" {,"));
      const std::optional<CodeLanguage> language = language_of(tag);
      const bool fits = tag.empty() || (language && (!wanted || *language == *wanted));
      if (fits) {
        blocks.last = text.substr(begin, at - begin);
        blocks.language = language.value_or(wanted.value_or(CodeLanguage::python));
      }
    }
    at = next;
  }
  return blocks;
}

}  // namespace

std::optional<ExtractedProgram> extract_program(std::string_view completion,
                                                std::optional<CodeLanguage> language, bool raw,
                                                std::string& reason) {
  const std::string_view part = final_part(completion);
  if (trimmed(part).empty()) {
    reason = "nothing, or thinking that is not closed";
    return std::nullopt;
  }
  const Blocks blocks = read_blocks(part, language);
  ExtractedProgram program{"", blocks.language};
  if (blocks.open) {
    reason = "the last block of code is not closed";
    return std::nullopt;
  }
  if (blocks.last) {
    program.text = *blocks.last;
  } else if (raw && !blocks.any) {
    program = {std::string(part), language.value_or(CodeLanguage::python)};
  } else {
    reason = blocks.any ? "no block of code in the language" : "no block of code";
    return std::nullopt;
  }
  if (trimmed(program.text).empty() || program.text.size() > kLongestProgram) {
    reason = program.text.size() > kLongestProgram ? "the program is too long" : "an empty program";
    return std::nullopt;
  }
  return program;
}

}  // namespace temper
