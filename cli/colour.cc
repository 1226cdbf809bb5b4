#include "cli/colour.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace temper {

void add_colour_option(OptionsTable& table, ColourMode* mode) {
  table.add_choice("colour", mode,
                   {{"auto", ColourMode::automatic},
                    {"always", ColourMode::always},
                    {"never", ColourMode::never}},
                   "auto: on a terminal, unless NO_COLOR is set");
}

bool wants_colours(ColourMode mode) {
  if (mode != ColourMode::automatic) return mode == ColourMode::always;
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool refused = no_color != nullptr && *no_color != '\0';
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  return isatty(STDOUT_FILENO) == 1 && !refused && !dumb;
}

std::string shaded(std::string_view text, int level) {
  static constexpr std::array kRed = {52, 88, 124, 160}, kGreen = {22, 28, 34, 40};
  if (level == 0) return std::string(text);
  const auto shade = static_cast<size_t>(std::min(std::abs(level), 4) - 1);
  const int colour = level < 0 ? kRed[shade] : kGreen[shade];
  return "\x1b[38;5;255;48;5;" + std::to_string(colour) + "m" + std::string(text) + "\x1b[0m";
}

}  // namespace temper
