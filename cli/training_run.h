// What `sft` and `grpo` share: the run's row in the database, checkpoints, the memory plan.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/load_model.h"
#include "cli/run_failure.h"
#include "cli/run_folder.h"
#include "cli/subcommands.h"
#include "data/store_step.h"
#include "model/training/step_saver.h"
#include "model/training/training_options.h"

namespace temper {

struct TrainingRunSpec {
  std::string model;  // the folder that was given
  int64_t seed = 0;
  int64_t micro_batch_tokens = 0;
  int64_t keep = 2;
  std::string save_dtype = "f32";  // f32 | bf16
  std::string chat_template = {};  // its id
};

// The spec of a stage whose options have these names.
template <class Options>
TrainingRunSpec spec_of(const Options& o, int64_t micro_batch_tokens,
                        const std::string& chat_template) {
  return {.model = o.model,
          .seed = o.training.seed,
          .micro_batch_tokens = micro_batch_tokens,
          .keep = o.training.keep,
          .save_dtype = o.training.save_dtype,
          .chat_template = chat_template};
}

// An open run: its store, its checkpoints. finish() must be called at the end; a run that ends by
// an exception is recorded as failed.
class TrainingRun {
 public:
  // Begins the run of a new folder, or goes on with the folder's own.
  TrainingRun(Context& ctx, Invocation& cli, RunFolder& folder, const TrainingRunSpec& spec,
              ModelInUse& model);
  ~TrainingRun();
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  Store& store() { return store_; }
  int64_t id() const { return id_; }

  // Writes checkpoints/step-N and its row into the open step. Of those committed before, the last
  // `keep` stay; older ones are marked as removed, and their folders go with the next save.
  void save(StepWriter& writer, const OptimizerState& optimizer, const StageState& state);
  // Returns train(). What ends it early is recorded among the run's events with its step, and an
  // error of a step says where the last good model is.
  template <class Train>
  auto watch(Train&& train) {
    try {
      return train();
    } catch (const StepError& error) {
      throw with_last_model(error);
    } catch (const std::exception& error) {
      record_failure(store_, id_, error, next_step());
      throw;
    }
  }
  // Writes the final model under out/model and closes the run.
  void finish(bool interrupted);

 private:
  void drop_old_checkpoints();
  std::filesystem::path tokenizer_folder();
  StepError with_last_model(const StepError& error);
  int64_t next_step();

  Context& ctx_;
  TrainingRunSpec spec_;
  std::filesystem::path out_;
  ModelInUse& model_;
  Logger& log_;
  Store& store_;
  int64_t id_ = 0;
  std::vector<std::filesystem::path> to_remove_;
  bool finished_ = false;
};

// What --resume says of a run that is done. Returns the exit code.
int already_done(Invocation& cli, const std::string& out);

// The micro-batch to plan with: as asked for, else the resumed run's, else 0 (the plan chooses).
int64_t micro_batch_tokens(const TrainingOptions& options, const RunFolder& folder);

}  // namespace temper
