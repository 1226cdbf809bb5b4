// Stages as functions, for subcommands that run one as a part of theirs.
#pragma once

#include "cli/load_model.h"
#include "cli/run_folder.h"
#include "cli/subcommands.h"
#include "data/mixture.h"
#include "data/sample.h"
#include "sft/options.h"

namespace temper {

// The folder of a run of this kind that trains on the files of --data.
RunFolderSpec folder_spec(const SftOptions& options, const std::string& kind);

// The samples that the options name, split into those to train on and those held out.
struct SftSamples {
  std::vector<Sample> train, heldout;
  std::vector<MixturePart> parts;  // what each file gave to `train`, with its weight
  std::vector<std::string> files;  // without weights
  std::string chat_template;       // its id; "" without a tokenizer
};
// Reads options.data with the model's tokenizer and template; says on the log what was read.
// Throws UserError naming what is wrong with the data.
SftSamples read_sft_samples(const SftOptions& options, const ModelInUse& model, Logger& log);

// `temper sft` with these options. The run's row holds cli.options, the caller's table.
int run_sft(const SftOptions& options, Invocation& cli);

}  // namespace temper
