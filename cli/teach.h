// What `rejection` and `distill` share: a teacher's samples into a run directory, filtered.
#pragma once

#include <filesystem>
#include <string>

#include "cli/subcommands.h"
#include "core/dtype.h"
#include "distill/options.h"

namespace temper {

struct TeachRun {
  const TeachOptions& options;
  std::filesystem::path out;  // run directory
  std::string tokenizer_of;   // model folder for teachers that have none; "": there is none
  int64_t seed = 0;
  DType dtype = DType::f32;
};

// Samples, judges, filters; prints the counts. Writes out/samples.jsonl and returns its path, or ""
// if it was interrupted: a later call with options.resume goes on. Throws UserError for what is
// wrong with the input, or if out holds a run and it is not to be resumed.
std::string teach(const TeachRun& run, Invocation& cli);

}  // namespace temper
