// temper verify-resume: whether a recipe, killed at random moments and resumed, ends in the bits of
// the run that nobody disturbed.
#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>

#include "cli/compare_folders.h"
#include "cli/killed_process.h"
#include "cli/subcommands.h"
#include "core/error.h"
#include "core/file.h"
#include "core/random.h"
#include "data/store.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

struct VerifyOptions {
  std::string out;
  std::vector<std::string> command;
  int64_t kills = 10, seed = 0;
  bool keep = false;
};

using Arguments = std::vector<std::string>;

Arguments with(Arguments command, const Arguments& more) {
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

constexpr std::array kVerified = {"sft", "grpo", "distill", "r1"};

// The recipe with the folder that it runs in. A chain goes on without being told.
Arguments in_folder(const Arguments& command, const fs::path& folder) {
  Arguments more{"--out", folder.string()};
  if (command[0] != "r1") more.push_back("--resume");
  return with(command, more);
}

void check_command(const VerifyOptions& o) {
  const std::string where = "behind --";
  if (o.command.empty() ||
      std::find(kVerified.begin(), kVerified.end(), o.command[0]) == kVerified.end())
    throw UserError({.what = "the recipe to verify is missing",
                     .where = where,
                     .expected = "sft, grpo, distill or r1 with its options",
                     .found = o.command.empty() ? "nothing" : o.command[0],
                     .hint = "temper verify-resume --out DIR -- grpo --model ... --save-every 5"});
  for (const std::string& word : o.command)
    for (const char* ours : {"--out", "--resume", "--resume-from"})
      if (word == ours || word.starts_with(std::string(ours) + "="))
        throw UserError({.what = "verify-resume sets this flag itself",
                         .where = where,
                         .found = word,
                         .hint = "leave it out of the recipe"});
  if (fs::exists(o.out) && !fs::is_empty(o.out))
    throw UserError({.what = "the folder is not empty",
                     .where = "--out " + o.out,
                     .hint = "name a new one: the runs are made in it"});
}

[[noreturn]] void recipe_failed(const ChildEnd& end, const fs::path& log) {
  std::string said = read_file(log);
  said.erase(0, std::min(said.rfind("error: "), said.size()));  // its last word
  while (said.ends_with('\n')) said.pop_back();
  throw UserError(
      {.what = "the recipe itself failed with exit code " + std::to_string(end.exit_code),
       .where = log.string(),
       .found = said.empty() ? "" : "\n" + said,
       .hint = "mend that, and try the recipe by hand; the file has all that it wrote"});
}

// Where a killed run stood, as its folder shows.
std::string place_of(const fs::path& run) {
  if (!fs::exists(run / kStoreFile)) return "before the database";
  bool saved = false;
  for (const auto& entry : fs::recursive_directory_iterator(run)) {  // of a chain: its stages
    if (entry.path().extension() == ".tmp") return "while a checkpoint was written";
    saved = saved || entry.path().filename() == "checkpoints";
  }
  return saved ? "between checkpoints" : "before the first checkpoint";
}

// One run that is killed until it comes to its end; returns how often.
int64_t killed_run(const VerifyOptions& o, const ChildEnd& straight, int64_t most, Random& random,
                   Invocation& cli) {
  const fs::path run = fs::path(o.out) / "killed", log = fs::path(o.out) / "killed.log";
  fs::create_directories(run);
  const Arguments command = in_folder(o.command, run);
  for (int64_t kills = 0;;) {
    // By turns at a moment, and at a write: a run spends little time where it can be hurt most.
    KillMoment moment;
    if (kills < most && random.below(2) == 0)
      moment.seconds = random.uniform() * straight.seconds;
    else if (kills < most)
      moment.changes =
          1 + static_cast<int64_t>(random.uniform() * static_cast<double>(straight.changes));
    const ChildEnd end = run_and_kill(command, log, run, moment);
    if (cli.interrupt.requested())
      throw UserError({.what = "interrupted", .hint = "the runs so far are in " + o.out});
    if (!end.killed && end.exit_code != 0) recipe_failed(end, log);
    if (!end.killed) return kills;
    ++kills;
    char text[160];
    std::snprintf(text, sizeof text, "killed after %.2f s and %lld changes, %s", end.seconds,
                  static_cast<long long>(end.changes), place_of(run).c_str());
    cli.log.info(text);
  }
}

// Shows what was compared; returns how many differ.
int64_t report(Invocation& cli, const std::vector<RunDifference>& found) {
  int64_t differing = 0;
  for (const RunDifference& d : found) {
    char line[300];
    std::snprintf(line, sizeof line, "  %-34s %10lld %-5s  %s\n", d.what.c_str(),
                  static_cast<long long>(d.rows), d.file ? "bytes" : "rows",
                  d.differing == 0 ? "equal" : "DIFFERENT: ");
    std::string text = line;
    if (d.differing > 0) {
      ++differing;
      text.pop_back();
      text += (d.file ? "" : std::to_string(d.differing) + " rows, such as ") + d.example + "\n";
    }
    cli.out << text;
  }
  return differing;
}

int verify(const VerifyOptions& o, Invocation& cli) {
  check_command(o);
  // Both runs have one name while they run, for the rows of a chain hold paths.
  const fs::path out = o.out, straight = out / "straight", run = out / "killed";
  fs::create_directories(run);
  const ChildEnd whole = run_and_kill(in_folder(o.command, run), out / "straight.log", run, {});
  if (whole.exit_code != 0) recipe_failed(whole, out / "straight.log");
  fs::rename(run, straight);
  char line[120];
  std::snprintf(line, sizeof line, "the run without a break: %.1f s, %lld changes of its files",
                whole.seconds, static_cast<long long>(whole.changes));
  cli.log.info(line);

  Random random(static_cast<uint64_t>(o.seed), RandomStream::data);
  int64_t kills = 0, runs = 0, differing = 0;
  while (kills < o.kills && differing == 0) {
    fs::remove_all(run);
    kills += killed_run(o, whole, o.kills - kills, random, cli);
    ++runs;
    differing = report(cli, compare_folders(straight, run));
  }
  cli.out << "killed " << kills << " times in " << runs << (runs == 1 ? " run" : " runs") << ": "
          << (differing == 0 ? "every resumed run ended in the same bits\n"
                             : "a resumed run ended otherwise; both are in " + o.out + "\n");
  if (differing == 0 && !o.keep) fs::remove_all(out);
  return differing == 0 ? 0 : 1;
}

}  // namespace

void add_verify_resume(Subcommands& list) {
  auto o = std::make_shared<VerifyOptions>();
  OptionsTable table;
  table.group("Verification");
  table.add("out", &o->out, "a new folder for the runs").value_name("DIR").required();
  table.add("kills", &o->kills, "how often a run is killed").at_least(1);
  table.add("seed", &o->seed, "of the moments").at_least(0);
  table.add("keep", &o->keep, "keep the folder when all is equal");
  table.add("command", &o->command, "the recipe: what stands behind --").value_name("ARGS");
  list.add({.name = "verify-resume",
            .about = "kill a recipe at random moments, resume it, and compare with a run unharmed",
            .examples = "  temper verify-resume --out /tmp/check -- grpo --model DIR --data "
                        "train.jsonl --reward math=1 --steps 12 --save-every 3\n"
                        "  temper verify-resume --out /tmp/check -- r1 recipe.toml\n",
            .options = table,
            .run = [o](Invocation& cli) { return verify(*o, cli); }});
}

}  // namespace temper
