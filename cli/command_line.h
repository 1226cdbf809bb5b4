// From argv to a subcommand with its options resolved: the only file pair that sees CLI11.
#pragma once

#include <string>

#include "cli/subcommands.h"

namespace temper {

// What the command line asks for.
struct Command {
  enum class Kind { help, version, print_config, run };
  Kind kind = Kind::help;
  Subcommand* subcommand = nullptr;  // nullptr: `temper` itself
  std::string group = {};            // help of a family: "model" of "model info"
};

// Adds --threads and --quiet to every subcommand.
void add_common_options(Subcommands& subcommands, CommonOptions& common);

// Reads the arguments and the file of --config into the tables; a flag wins over the file.
// Throws UserError: an unknown subcommand, flag or key (with the nearest known one), a value that
// does not parse or is out of range, a required option without a value.
Command read_command_line(int argc, char** argv, Subcommands& subcommands);

// The arguments as one line that a shell reads back.
std::string command_line_text(int argc, char** argv);

}  // namespace temper
