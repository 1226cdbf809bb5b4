// detectable_format:*: lists, highlights, sections, titles, JSON, fixed answers.
#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/linear_regex.h"
#include "reward/ifeval/instruction.h"
#include "reward/text.h"

namespace temper {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(trimmed(text.substr(0, end)));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

// A point is a line that begins with '-', or with one '*' and something that is no '*'.
bool number_of_bullets(const InstructionInput& in) {
  int64_t count = 0;
  for (const std::string_view line : lines_of(in.response)) {
    count += line.starts_with('-') || (line.size() > 1 && line[0] == '*' && line[1] != '*');
  }
  return count == in.integer("num_bullets");
}

bool constrained_response(const InstructionInput& in) {
  constexpr std::array kAnswers = {"My answer is yes.", "My answer is no.", "My answer is maybe."};
  return std::any_of(kAnswers.begin(), kAnswers.end(), [&](std::string_view answer) {
    return in.response.find(answer) != std::string_view::npos;
  });
}

// *a part* and **a part** of one line, not blank.
bool highlighted_sections(const InstructionInput& in) {
  const LinearRegex once(R"(\*([^\n*]*)\*)", "ifeval"), twice(R"(\*\*([^\n*]*)\*\*)", "ifeval");
  int64_t count = 0;
  for (const LinearRegex* pattern : {&once, &twice}) {
    for (const auto& match : pattern->search_all(in.response)) {
      count += !trimmed(*match[1]).empty();
    }
  }
  return count >= in.integer("num_highlights");
}

// How often the splitter stands before a number: "Section 1".
bool multiple_sections(const InstructionInput& in) {
  const std::string splitter(trimmed(in.text("section_spliter")));  // the data's own spelling
  const int64_t wanted = in.integer("num_sections");
  if (splitter.empty()) return false;
  int64_t count = 0;
  for (size_t at = in.response.find(splitter); at != std::string_view::npos;
       at = in.response.find(splitter, at + splitter.size())) {
    const std::string_view rest = in.response.substr(at + splitter.size());
    const size_t digit = !rest.empty() && (rest[0] == ' ' || rest[0] == '\n') ? 1 : 0;
    count += rest.size() > digit && rest[digit] >= '0' && rest[digit] <= '9';
  }
  return count >= wanted;
}

bool json_format(const InstructionInput& in) {
  std::string_view text = trimmed(in.response);
  for (const std::string_view fence : {"```json", "```Json", "```JSON", "```"}) {
    if (text.starts_with(fence)) text.remove_prefix(fence.size());
  }
  if (text.ends_with("```")) text.remove_suffix(3);
  try {
    parse_json(trimmed(text), "response");
    return true;
  } catch (const UserError&) {
    return false;
  }
}

// <<a title>> in one line, not blank.
bool title(const InstructionInput& in) {
  const LinearRegex pattern(R"(<<([^\n]+)>>)", "ifeval");
  for (const auto& match : pattern.search_all(in.response)) {
    std::string_view inside = *match[1];
    while (inside.starts_with('<')) inside.remove_prefix(1);
    while (inside.ends_with('>')) inside.remove_suffix(1);
    if (!trimmed(inside).empty()) return true;
  }
  return false;
}

}  // namespace

std::vector<Instruction> format_instructions() {
  return {{"detectable_format:number_bullet_lists", number_of_bullets},
          {"detectable_format:constrained_response", constrained_response},
          {"detectable_format:number_highlighted_sections", highlighted_sections},
          {"detectable_format:multiple_sections", multiple_sections},
          {"detectable_format:json_format", json_format},
          {"detectable_format:title", title}};
}

}  // namespace temper
