#include "data/store.h"

#include <chrono>

#include "core/json.h"
#include "data/migrations.h"

namespace temper {
namespace {

namespace fs = std::filesystem;

Database open_store(const fs::path& run, OpenMode mode) {
  if (mode == OpenMode::create && !fs::is_regular_file(run)) {
    std::error_code error;
    fs::create_directories(run, error);
    if (error) {
      throw UserError({.what = "cannot make the run directory: " + error.message(),
                       .where = run.string(),
                       .hint = "give a folder that can be written to"});
    }
  }
  return Database(store_path(run), mode);
}

const char* name_of(RunStatus status) {
  switch (status) {
    case RunStatus::running:
      return "running";
    case RunStatus::done:
      return "done";
    case RunStatus::failed:
      return "failed";
    case RunStatus::interrupted:
      return "interrupted";
  }
  return "?";
}

const char* name_of(EventLevel level) {
  switch (level) {
    case EventLevel::info:
      return "info";
    case EventLevel::warning:
      return "warning";
    case EventLevel::error:
      return "error";
  }
  return "?";
}

}  // namespace

double unix_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

fs::path store_path(const fs::path& run) {
  return fs::is_directory(run) ? run / kStoreFile : run;
}

Store::Store(const fs::path& run, OpenMode mode) : database_(open_store(run, mode)) {
  require(mode != OpenMode::read_only, "a Store writes; read through a Database");
  migrate(database_);
}

int64_t Store::begin_run(const NewRun& run) {
  database_.execute(
      "INSERT INTO runs (kind, status, started, model, seed, code_version, command_line, config,"
      " data_hashes, environment) VALUES (?, 'running', ?, ?, ?, ?, ?, ?, ?, ?)",
      run.kind, unix_seconds(), run.model, run.seed, run.code_version, run.command_line,
      json_or_empty(run.config), json_or_empty(run.data_hashes), json_or_empty(run.environment));
  return database_.last_insert_id();
}

int64_t Store::resume_run(const Resume& resume) {
  require(!step_open_, "a run cannot be resumed inside a step");
  Transaction transaction(database_);
  const auto count = [&](const char* sql) {
    return database_.value<int64_t>(sql, resume.run_id, resume.step).value_or(0);
  };
  const double seconds = database_
                             .value<double>(
                                 "SELECT total(wall_seconds) FROM steps"
                                 " WHERE run_id = ? AND step > ?",
                                 resume.run_id, resume.step)
                             .value_or(0.0);
  const int64_t steps = count("SELECT count(*) FROM steps WHERE run_id = ? AND step > ?");
  const int64_t samples = count("SELECT count(*) FROM samples WHERE run_id = ? AND step > ?");
  delete_after(resume.run_id, resume.step);
  database_.execute(
      "UPDATE runs SET status = 'running', finished = NULL, config = coalesce(?, config)"
      " WHERE id = ?",
      resume.config, resume.run_id);
  require(database_.changes() == 1, "the run to resume is not in the database");
  std::string text = "resumed behind step " + std::to_string(resume.step);
  if (steps > 0)
    text += "; the rows of the " + std::to_string(steps) +
            " steps behind it are removed, and they are done again";
  const std::string data = "{\"discarded_steps\":" + std::to_string(steps) +
                           ",\"discarded_samples\":" + std::to_string(samples) +
                           ",\"discarded_seconds\":" + std::to_string(seconds) +
                           ",\"command_line\":" + quote_json(resume.command_line) +
                           ",\"code_version\":" + quote_json(resume.code_version) + "}";
  write_event({resume.run_id, EventLevel::info, text, data, resume.step, unix_seconds()});
  transaction.commit();
  return steps;
}

void Store::finish_run(int64_t run_id, RunStatus status) {
  require(!step_open_, "a run cannot end inside a step");
  database_.execute("UPDATE runs SET status = ?, finished = ? WHERE id = ?", name_of(status),
                    unix_seconds(), run_id);
  require(database_.changes() == 1, "the run to finish is not in the database");
}

void Store::add_event(int64_t run_id, EventLevel level, std::string_view text,
                      std::string_view data, std::optional<int64_t> step) {
  const Event event{run_id, level, std::string(text), std::string(data), step, unix_seconds()};
  write_event(event);
  if (step_open_) events_of_step_.push_back(event);
}

void Store::write_event(const Event& event) {
  database_.execute(
      "INSERT INTO events (run_id, time, level, step, text, data) VALUES (?, ?, ?, ?, ?, ?)",
      event.run_id, event.time, name_of(event.level), event.step, event.text,
      json_or_empty(event.data));
}

void Store::delete_after(int64_t run_id, int64_t step) {
  // Foreign keys carry the deletion on to every table that has the step's key.
  database_.execute("DELETE FROM steps WHERE run_id = ? AND step > ?", run_id, step);
  database_.execute(
      "DELETE FROM prompts WHERE run_id = ?"
      " AND NOT EXISTS (SELECT 1 FROM samples WHERE samples.prompt_id = prompts.id)",
      run_id);
}

void Store::put_reward(int64_t sample_id, const NewReward& reward) {
  database_.execute(
      "INSERT OR REPLACE INTO rewards (sample_id, rule, value, weight, counted, status, extracted, "
      "reason,"
      " microseconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      sample_id, reward.rule, reward.value, reward.weight, reward.counted, reward.status,
      reward.extracted, reward.reason, reward.microseconds);
}

void Store::mark_checkpoint_removed(int64_t checkpoint_id) {
  database_.execute("UPDATE checkpoints SET removed = ? WHERE id = ?", unix_seconds(),
                    checkpoint_id);
}

}  // namespace temper
