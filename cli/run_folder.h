// The run directory of a training command: claimed for one process, new or gone on with.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/subcommands.h"
#include "core/file_lock.h"
#include "data/store_reader.h"
#include "model/checkpoint/resume.h"

namespace temper {

struct RunFolderSpec {
  std::string kind;  // sft, grpo, distill
  std::filesystem::path out;
  std::vector<std::string> data;
  bool resume = false;
  int64_t resume_from = 0;  // the step of a checkpoint; 0: the last
};

// A new run's folder is made by open(), so that what is refused before leaves nothing behind.
class RunFolder {
 public:
  // Throws UserError. A new run: the folder holds a run or a model already. One to go on with:
  // another process is at work there, it is of another kind, options or data have changed, or its
  // checkpoint is damaged; the message names the one before.
  RunFolder(Invocation& cli, const RunFolderSpec& spec);

  // The run to go on with; nothing for a new one.
  const std::optional<RunRow>& run() const { return run_; }
  // Whether it came to its end already and nothing was asked for beyond.
  bool complete() const { return complete_; }
  // Where to go on; nullptr: from the beginning.
  const TrainingCheckpoint* checkpoint() const { return checkpoint_ ? &*checkpoint_ : nullptr; }
  // The folder to load the model from: the checkpoint's, else the one given.
  std::filesystem::path model(const std::filesystem::path& given) const;
  // The micro-batch of the run, for the same bits on a machine with other memory; 0: not known.
  int64_t micro_batch_tokens() const;
  // Throws UserError if the model folder is not the one that the run began with.
  void check_model(const std::filesystem::path& given) const;

  // The database, made if it is absent.
  Store& open();
  // Records that the run goes on: rows beyond the checkpoint and their folders are dropped.
  void record_resume();

  const RunFolderSpec& spec() const { return spec_; }

 private:
  void find_run();
  void find_checkpoint();
  void check_data() const;

  Invocation& cli_;
  RunFolderSpec spec_;
  std::optional<FileLock> lock_;
  std::optional<Store> store_;
  std::optional<RunRow> run_;
  std::optional<TrainingCheckpoint> checkpoint_;
  std::vector<std::string> changed_;  // keys of options that now have another value
  bool complete_ = false;
};

// What is wrong with the checkpoint folder of a row, a line a file; empty: nothing.
std::vector<std::string> checkpoint_damage(const std::filesystem::path& dir,
                                           const CheckpointRow& row);
// Throws UserError if the model folder is not the one that the run began with.
void check_model_files(const RunRow& run, const std::filesystem::path& given);

}  // namespace temper
