// A run's options as its database keeps them, for a command that goes on with the run.
#pragma once

#include <string>
#include <vector>

#include "core/options.h"

namespace temper {

// With --resume (or --resume-from) in the table and a run in --out: options that neither a flag nor
// a file has set get the run's values, so that `temper grpo --resume --out DIR` is enough.
// Throws UserError if the database cannot be read.
void apply_stored_options(OptionsTable& options, const std::string& subcommand);

// The same from `config`, the JSON object of a run's row that `where` names, --out and flags aside.
void set_stored_options(OptionsTable& options, const std::string& config, const std::string& where);

// The keys of the options whose values are others than `config`, the JSON object of a run, says.
// Throws UserError for an option that a run cannot go on with under another value.
std::vector<std::string> changed_options(const OptionsTable& options, const std::string& config);

// `config` with the present values of these keys.
std::string with_changes(const std::string& config, const OptionsTable& options,
                         const std::vector<std::string>& keys);

// A hash of all options but those that name the call (files, folders, --resume): the same for two
// runs of one setting.
std::string options_hash(const OptionsTable& options);

}  // namespace temper
