// temper inspect [runs | evals | events | migrate]: what a database holds, at a glance.
#include "cli/inspect.h"
#include "core/file_lock.h"
#include "data/migrations.h"

namespace temper {
namespace {

constexpr const char* kFamily =
    "  temper inspect RUN_DIR                       its runs\n"
    "  temper inspect curve RUN_DIR                 the metrics as curves\n"
    "  temper inspect evals RUN_DIR                 pass@1 of each evaluation\n"
    "  temper inspect lineage CHAIN_DIR             what each stage of a chain read and left\n"
    "  temper inspect samples RUN_DIR --best 3      (or --worst, --longest, --truncated, ...)\n"
    "  temper inspect sample RUN_DIR 812            one sample, token by token\n"
    "  temper inspect groups RUN_DIR --zero-signal  groups whose rewards are all equal\n"
    "  temper inspect verdicts RUN_DIR              what each reward rule said how often\n"
    "  temper inspect diff RUN_DIR --steps 1-5,96-100   the same prompts then and now\n"
    "  temper inspect events RUN_DIR                warnings, errors, resumes\n"
    "  temper inspect sql RUN_DIR \"SELECT ...\"      a query (docs/database.md has more)\n"
    "  temper inspect export RUN_DIR --as tensorboard --out DIR   (or jsonl)\n"
    "  temper inspect prune RUN_DIR --keep-steps 20 makes the file smaller";

int show_runs(Invocation& cli, const InspectOptions& options) {
  Database db = open_for_reading(options.path);
  const Table table = query_table(
      db,
      "SELECT r.id AS run, r.kind, CASE WHEN r.status = 'running' AND NOT ?1 THEN 'killed'"
      " ELSE r.status END AS status, datetime(r.started, 'unixepoch') AS started_utc,"
      " round(coalesce(r.finished, (SELECT max(committed) FROM steps s WHERE s.run_id = r.id))"
      "       - r.started, 1) AS seconds,"
      " h.device, round(h.device_hours, 4) AS device_hours,"
      " (SELECT max(step) FROM steps s WHERE s.run_id = r.id) AS last_step,"
      " (SELECT count(*) FROM samples s WHERE s.run_id = r.id) AS samples,"
      " (SELECT count(*) FROM checkpoints c WHERE c.run_id = r.id AND c.removed IS NULL)"
      "   AS checkpoints,"
      " (SELECT count(*) FROM events e WHERE e.run_id = r.id AND e.level <> 'info')"
      "   AS warnings, r.seed, json_extract(r.environment, '$.chat_template') AS template,"
      " r.model FROM runs r JOIN run_hours h ON h.run_id = r.id ORDER BY r.id",
      is_locked(db.path().parent_path() / kLockFile));
  write_table(cli, options, table, "no run was recorded yet");
  return 0;
}

int show_evals(Invocation& cli, const InspectOptions& options) {
  Database db = open_for_reading(options.path);
  const int64_t run = options.run == 0 ? 0 : inspected_run(db, options).id;
  const Table table = query_table(
      db,
      "SELECT run_id AS run, kind, step, task, prompts, samples_per_prompt AS k, pass_at_1,"
      " standard_error, format_rate, mean_tokens, truncated_rate, temperature, top_p,"
      " max_new_tokens FROM evals WHERE ?1 = 0 OR run_id = ?1 ORDER BY run_id, step, task",
      run);
  write_table(cli, options, table, "no evaluation was recorded");
  return 0;
}

int show_events(Invocation& cli, const InspectOptions& options) {
  Database db = open_for_reading(options.path);
  const RunRow run = inspected_run(db, options);
  const Table table = query_table(
      db,
      "SELECT datetime(time, 'unixepoch') AS time_utc, level, step, text, data FROM events"
      " WHERE run_id = ? ORDER BY id",
      run.id);
  write_table(cli, options, table, "no event was recorded");
  return 0;
}

int show_lineage(Invocation& cli, const InspectOptions& options) {
  Database db = open_for_reading(options.path);
  const RunRow run = inspected_run(db, options);
  const Table table = query_table(
      db,
      "SELECT s.name AS stage, s.subcommand, l.direction, l.role, l.path, f.name AS made_by, l.hash"
      " FROM stages s JOIN lineage l ON l.stage_id = s.id LEFT JOIN stages f ON f.id = l.from_stage"
      " WHERE s.run_id = ? AND s.status <> 'set aside' ORDER BY s.position, l.direction, l.id",
      run.id);
  write_table(cli, options, table, "no stage of a chain was recorded");
  return 0;
}

int migrate_store(Invocation& cli, const InspectOptions& options) {
  Database db(store_path(options.path), OpenMode::write);
  const int before = schema_version(db);
  migrate(db);
  cli.out << db.path().string() << ": schema " << before << " -> " << schema_version(db) << '\n';
  return 0;
}

using Action = int (*)(Invocation&, const InspectOptions&);

void add(Subcommands& list, std::string name, std::string about, Action action, bool of_a_run,
         std::string examples = "") {
  const auto options = std::make_shared<InspectOptions>();
  list.add({.name = std::move(name),
            .about = std::move(about),
            .examples = std::move(examples),
            .options = inspect_options(*options, of_a_run),
            .run = [options, action](Invocation& cli) { return action(cli, *options); }});
}

}  // namespace

void add_inspect_runs(Subcommands& list) {
  add(list, "inspect", "look inside a run's database, also while it runs", show_runs, false,
      kFamily);
  add(list, "inspect runs", "the runs of a database", show_runs, false);
  add(list, "inspect evals", "the results of each evaluation", show_evals, true);
  add(list, "inspect events", "warnings, errors and resumes of a run", show_events, true);
  add(list, "inspect lineage", "which stage of a chain made what, and of what", show_lineage, true);
  add(list, "inspect migrate", "bring an older database forward to this temper's schema",
      migrate_store, false);
}

}  // namespace temper
