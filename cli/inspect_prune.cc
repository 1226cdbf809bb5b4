// temper inspect prune: a run's database made smaller, by what its owner can do without.
#include <filesystem>

#include "cli/inspect.h"
#include "core/error.h"
#include "core/file_lock.h"
#include "data/store.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

enum class Pruned { experts, tokens, samples };

struct PruneOptions {
  InspectOptions inspect;
  Pruned what = Pruned::tokens;
  int64_t keep_steps = 0, keep_samples = 0;
  bool yes = false;
};

// Data of later stages and of a resume are samples of the other kinds (rollout, rejection,
// distill): those are never pruned.
constexpr const char* kOfSteps = " WHERE run_id = ?1 AND kind IN ('grpo', 'eval') AND step <= ?2";
constexpr const char* kTokenColumns =
    "loss_mask = NULL, rollout_logprobs = NULL, trainer_logprobs = NULL,"
    " reference_logprobs = NULL, token_advantages = NULL, entropies = NULL, clips = NULL,"
    " kept_counts = NULL, kept_ids = NULL, experts = NULL";

std::string words(Pruned what) {
  switch (what) {
    case Pruned::experts:
      return "the experts' traces";
    case Pruned::tokens:
      return "the token arrays (log-probabilities, entropies, masks, advantages a token, clips, "
             "kept sets, experts)";
    case Pruned::samples:
      return "the samples with their texts, ids and verdicts";
  }
  return "";
}

std::string loss_of(Pruned what) {
  std::string text = "  temper replay step can no longer train those steps again";
  if (what == Pruned::experts) text += " (where experts are replayed)";
  if (what == Pruned::tokens)
    text += "\n  temper inspect sample shows their tokens without numbers; sums and texts stay";
  if (what == Pruned::samples)
    text +=
        "\n  temper inspect samples, groups, verdicts and diff, and temper replay reward see "
        "only the samples that stay, and temper eval compare no pairs; metrics and steps stay";
  return text + "\n  a resume needs none of it: checkpoints are left alone";
}

int64_t file_bytes(const fs::path& path) {
  std::error_code error;
  const uintmax_t bytes = fs::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(bytes);
}

// Of each step, keep_samples are kept, evenly spread.
void prune_samples(Database& db, int64_t run, int64_t last, int64_t keep) {
  db.execute(
      "DELETE FROM samples WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER w - 1 AS "
      "place,"
      " count(*) OVER (PARTITION BY kind, step) AS n FROM samples" +
          std::string(kOfSteps) +
          " WINDOW w AS (PARTITION BY kind, step ORDER BY group_index, sample_index))"
          " WHERE (place + 1) * min(?3, n) / n = place * min(?3, n) / n)",
      run, last, keep);
}

void prune(Database& db, const PruneOptions& o, int64_t run, int64_t last) {
  const std::string of_steps = kOfSteps;
  if (o.what == Pruned::samples) {
    prune_samples(db, run, last, o.keep_samples);
    return;
  }
  const std::string columns = o.what == Pruned::tokens ? kTokenColumns : "experts = NULL";
  db.execute("UPDATE samples SET " + columns + of_steps, run, last);
  db.execute("DELETE FROM prompt_experts" + of_steps, run, last);
}

int write_json(Invocation& cli, int64_t run, int64_t last, int64_t samples, bool done,
               int64_t bytes) {
  cli.out << "{\"run\":" << run << ",\"up_to_step\":" << last << ",\"samples\":" << samples
          << ",\"pruned\":" << (done ? "true" : "false") << ",\"bytes\":" << bytes << "}\n";
  return 0;
}

int run_prune(Invocation& cli, const PruneOptions& o) {
  const fs::path file = store_path(o.inspect.path);
  if (!fs::exists(file)) static_cast<void>(open_for_reading(o.inspect.path));  // says so
  std::optional<FileLock> lock;  // of the folder: no run is at work there
  lock.emplace(file.parent_path() / kLockFile);
  Store store(o.inspect.path, OpenMode::write);
  Database& db = store.database();
  const RunRow run = inspected_run(db, o.inspect);
  if (o.keep_samples > 0 && o.what != Pruned::samples)
    throw UserError({.what = "--keep-samples says how many samples of a step stay",
                     .where = "inspect prune",
                     .expected = "--what samples"});
  const int64_t newest =
      db.value<int64_t>("SELECT max(step) FROM steps WHERE run_id = ? AND kind IN ('grpo', 'eval')",
                        run.id)
          .value_or(0);
  const int64_t last = newest - o.keep_steps;
  const int64_t samples =
      db.value<int64_t>("SELECT count(*) FROM samples" + std::string(kOfSteps), run.id, last)
          .value_or(0);
  if (o.inspect.json && (samples == 0 || !o.yes))
    return write_json(cli, run.id, last, samples, false, file_bytes(file));
  if (samples == 0) {
    cli.out << "nothing to prune: run " << run.id << " has no samples of grpo or eval up to step "
            << last << '\n';
    return 0;
  }
  const std::string text =
      words(o.what) + " of " + std::to_string(samples) + " samples of run " +
      std::to_string(run.id) + ", steps up to " + std::to_string(last) +
      (o.keep_samples > 0 ? ", but " + std::to_string(o.keep_samples) + " of each step" : "");
  if (!o.yes) {
    cli.out << "this would remove " << text << "\nwhat is lost:\n"
            << loss_of(o.what) << "\nnothing was changed; say --yes to do it\n";
    return 0;
  }
  const int64_t before = file_bytes(file);
  Transaction transaction(db);
  prune(db, o, run.id, last);
  store.add_event(run.id, EventLevel::info, "pruned: " + text);
  transaction.commit();
  db.run_script("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);");
  if (o.inspect.json) return write_json(cli, run.id, last, samples, true, file_bytes(file));
  cli.out << "removed " << text << "\n" << before << " -> " << file_bytes(file) << " bytes\n";
  return 0;
}

}  // namespace

void add_inspect_prune(Subcommands& list) {
  const auto o = std::make_shared<PruneOptions>();
  OptionsTable table = inspect_options(o->inspect);
  table.group("What goes");
  table.add_choice(
      "what", &o->what,
      {{"experts", Pruned::experts}, {"tokens", Pruned::tokens}, {"samples", Pruned::samples}},
      "the experts' traces, all token arrays but the ids, or whole samples");
  table.add("keep-steps", &o->keep_steps, "the last steps, which stay as they are").at_least(0);
  table
      .add("keep-samples", &o->keep_samples,
           "of each earlier step that many samples stay, evenly spread; with --what samples")
      .at_least(0);
  table.add("yes", &o->yes, "do it; without this the command says what would go and what is lost");
  list.add({.name = "inspect prune",
            .about = "make the database of a long run smaller",
            .examples = "  temper inspect prune RUN_DIR --keep-steps 20\n"
                        "  temper inspect prune RUN_DIR --what samples --keep-samples 8 --yes\n",
            .options = std::move(table),
            .run = [o](Invocation& cli) { return run_prune(cli, *o); }});
}

}  // namespace temper
