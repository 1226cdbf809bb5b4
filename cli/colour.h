// Colours of a terminal.
#pragma once

#include <string>
#include <string_view>

#include "core/options.h"

namespace temper {

enum class ColourMode { automatic, always, never };

// Appends --colour auto|always|never.
void add_colour_option(OptionsTable& table, ColourMode* mode);

// Whether to write colours to stdout. automatic: if it is a terminal that takes them and NO_COLOR
// is not set (no-color.org).
bool wants_colours(ColourMode mode);

// The text on a background for `level` from -4 (dark to bright red) to 4 (green); 0 leaves it as
// it is. Of the xterm palette of 256 colours.
std::string shaded(std::string_view text, int level);

}  // namespace temper
