// A subcommand as a part of another one.
#pragma once

#include <string>
#include <vector>

#include "cli/subcommands.h"

namespace temper {

// The program as it was called by `cli`, whose subcommand is `subcommand`: so that lines that are
// shown can be typed again.
std::string program_of(const Invocation& cli, const std::string& subcommand);

// Runs `arguments` ("sft --model DIR ...") with the caller's device and threads as if they had been
// typed, and shows the line on the log. Returns the exit code. Throws what the subcommand throws.
int run_as_typed(const std::string& program, std::vector<std::string> arguments, Invocation& cli);

// The arguments as a subcommand with its options resolved, without running it. `list` must have all
// subcommands and outlives the result. Throws UserError as the command line does.
Subcommand& resolve_arguments(Subcommands& list, const std::vector<std::string>& arguments);

}  // namespace temper
