// The text of --help, made from the tables.
#pragma once

#include <string>

#include "cli/subcommands.h"

namespace temper {

// Of `temper`, or of a family ("model") if `group` is not empty: its subcommands.
std::string overview_text(const Subcommands& subcommands, const std::string& group);

// Of one subcommand: usage, options by group with defaults, units and ranges, examples.
std::string help_text(const Subcommand& subcommand);

// "temper 0.1.0 (1a2b3c4d5e6f)\n".
std::string version_text();

}  // namespace temper
