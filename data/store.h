// The run store: run.db of a run directory, written while the run goes on.
// One transaction a step (StepWriter): all its rows commit together or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/sqlite.h"
#include "data/store_rows.h"

namespace temper {

constexpr const char* kStoreFile = "run.db";

// The database file that `run` names: itself, or run.db in it if it is a directory.
std::filesystem::path store_path(const std::filesystem::path& run);

// Used by one thread at a time. Not movable: a StepWriter refers to it.
class Store {
 public:
  // Opens run.db of the run directory (or the file itself) and brings its schema forward.
  // OpenMode::create makes the directory and the file if they are absent.
  // Throws UserError if it must exist and does not, is no Temper database or is newer; SystemError.
  explicit Store(const std::filesystem::path& run, OpenMode mode = OpenMode::create);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Records a run as running and returns its id.
  int64_t begin_run(const NewRun& run);
  // Marks a run as running again behind resume.step. What it recorded after that goes, of every
  // kind: steps, samples, rewards, metrics, evals, checkpoints, and prompts that no sample is left
  // of; events stay, and a new one says all this. One transaction. Returns how many steps went.
  int64_t resume_run(const Resume& resume);
  // Records how a run ended. No step may be open.
  void finish_run(int64_t run_id, RunStatus status);

  // Records an event at once. Inside an open step it commits with the step, and if the step is
  // rolled back it is written all the same: what went wrong is never lost with the step.
  void add_event(int64_t run_id, EventLevel level, std::string_view text,
                 std::string_view data = "{}", std::optional<int64_t> step = {});

  // Replaces or adds the verdict of one rule on a stored sample (a later re-scoring).
  // Leaves the sample's reward as it was when the optimiser used it.
  void put_reward(int64_t sample_id, const NewReward& reward);

  // Notes that the folder of a checkpoint was deleted.
  void mark_checkpoint_removed(int64_t checkpoint_id);

  Database& database() { return database_; }

 private:
  friend class StepWriter;
  struct Event {
    int64_t run_id;
    EventLevel level;
    std::string text, data;
    std::optional<int64_t> step;
    double time;
  };
  void write_event(const Event& event);
  void delete_after(int64_t run_id, int64_t step);

  Database database_;
  bool step_open_ = false;
  std::vector<Event> events_of_step_;
};

// Seconds since 1970 UTC.
double unix_seconds();

// What a JSON column stores for `text`: an empty text becomes the empty object, so that
// json_extract() works on every row.
inline std::string_view json_or_empty(std::string_view text) {
  return text.empty() ? "{}" : text;
}

}  // namespace temper
