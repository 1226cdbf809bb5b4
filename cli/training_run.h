// What `sft` and `grpo` share: the run's row in the database, checkpoints, the memory plan.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/load_model.h"
#include "cli/subcommands.h"
#include "data/store_step.h"
#include "model/training/training_options.h"

namespace temper {

struct TrainingRunSpec {
  std::string kind;  // sft, grpo
  std::filesystem::path out;
  std::vector<std::string> data;
  int64_t seed = 0;
  int64_t keep = 2;
  std::string save_dtype = "f32";  // f32 | bf16
};

// An open run: its store, its checkpoints. finish() must be called at the end; a run that ends by
// an exception is recorded as failed.
class TrainingRun {
 public:
  // Throws UserError if the folder spec.out holds a run or a model already: nothing is written.
  TrainingRun(Context& ctx, Invocation& cli, const TrainingRunSpec& spec, ModelInUse& model);
  ~TrainingRun();
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  Store& store() { return store_; }
  int64_t id() const { return id_; }

  // Writes checkpoints/step-N and its row into the open step. Of those committed before, the last
  // `keep` stay; older ones are marked as removed, and their folders go with the next save.
  void save(StepWriter& writer, int64_t step, const OptimizerState& optimizer);
  // Writes the final model under out/model and closes the run.
  void finish(bool interrupted);

 private:
  void drop_old_checkpoints();

  Context& ctx_;
  TrainingRunSpec spec_;
  ModelInUse& model_;
  Logger& log_;
  Store store_;
  int64_t id_ = 0;
  std::vector<std::filesystem::path> to_remove_;
  bool finished_ = false;
};

}  // namespace temper
