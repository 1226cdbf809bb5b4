// temper replay step: steps of a run trained again from the database.
#pragma once

#include <string>

#include "cli/subcommands.h"

namespace temper {

struct ReplayStepOptions {
  std::string path;  // a run directory
  int64_t step = 0, to = 0;
  int64_t run = 0;    // 0: the latest
  std::string model;  // the folder that the run began with, if it has moved
  bool json = false;
};

// Trains steps step..to again with the stored rollouts, from the nearest checkpoint before them,
// and compares all that a step leaves with what the database has. Returns 0 if it is the same bit
// for bit, else 1. Throws UserError if the run keeps too little for that.
int replay_steps(const ReplayStepOptions& options, Invocation& cli);

}  // namespace temper
