// A chain from its recipe to its table: what `r1` and `quickstart` share.
#pragma once

#include "cli/chain.h"

namespace temper {

// Runs what is left of the chain; `subcommand` is the one that `cli` runs. At the end of the whole
// chain the table of its stages goes to cli.out and their curves into FOLDER/curves.svg; returns
// false if it was interrupted before. Throws as Chain::run() does.
bool run_chain(const Recipe& recipe, const ChainOptions& options, const std::string& subcommand,
               Invocation& cli);

}  // namespace temper
