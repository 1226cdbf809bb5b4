#include "cli/chain.h"

#include <algorithm>

#include "cli/help.h"
#include "cli/run_row.h"
#include "cli/run_stage.h"
#include "core/error.h"
#include "core/file.h"
#include "core/moment.h"

namespace temper {
namespace {

namespace fs = std::filesystem;

std::string joined(const std::vector<std::string>& arguments) {
  std::string text;
  for (const std::string& argument : arguments) text += (text.empty() ? "" : " ") + argument;
  return text;
}

bool can_resume(const std::string& subcommand) {
  Subcommands all;
  add_all_subcommands(all);
  for (Subcommand& s : all.all())
    if (s.name == subcommand) return s.options.find_flag("resume") != nullptr;
  return false;
}

// The chain's lock, in its folder, which is made if it is absent.
fs::path lock_of(const fs::path& folder) {
  fs::create_directories(folder);
  return folder / kLockFile;
}

}  // namespace

Chain::Chain(const Recipe& recipe, const ChainOptions& options, const std::string& program,
             Invocation& cli)
    : recipe_(recipe),
      options_(options),
      program_(program),
      cli_(cli),
      lock_(lock_of(options.folder)),
      store_(options.folder) {
  const auto known = store_.database().value<int64_t>(
      "SELECT id FROM runs WHERE kind = 'r1' ORDER BY id DESC LIMIT 1");
  if (known) {
    cli.interrupt.watch();  // from here on the row has to say how the chain ended
    run_id_ = *known;
    const std::string version = version_text();
    store_.resume_run(
        {.run_id = run_id_, .command_line = cli.command_line, .code_version = version});
    return;
  }
  const std::vector<std::string> data{recipe.path.string()};
  run_id_ = store_.begin_run(
      run_row(cli, {.kind = "r1", .model = recipe.name, .data = data, .seed = recipe.seed}));
}

bool Chain::run() {
  try {
    const bool ran = run_stages();
    const std::string left = ran ? first_left() : "";
    store_.finish_run(run_id_, ran && left.empty() ? RunStatus::done : RunStatus::interrupted);
    if (!left.empty())
      cli_.log.info("stopped behind stage " + options_.until +
                    "; without --until the chain goes on with " + left);
    return ran;
  } catch (...) {
    store_.finish_run(run_id_, RunStatus::failed);
    throw;
  }
}

bool Chain::run_stages() {
  const size_t count = recipe_.stages.size();
  const size_t from = options_.from.empty() ? count : recipe_.find(options_.from, "--from");
  const size_t until = options_.until.empty() ? count - 1 : recipe_.find(options_.until, "--until");
  for (size_t i = 0; i <= until; ++i) {
    const bool anew = i >= from;
    if (!anew && is_complete(i)) {
      cli_.log.info("stage " + recipe_.stages[i].name + ": complete, not run again");
      continue;
    }
    if (!anew && from < count)
      throw UserError({.what = "a stage before it is not complete",
                       .where = "--from " + options_.from,
                       .found = recipe_.stages[i].name,
                       .hint = "leave --from out: the chain goes on where it stands"});
    if (!run_stage(i, anew)) return false;
  }
  return true;
}

// Whether it is done, from inputs that are still the present ones.
bool Chain::stands(const std::optional<StageRow>& row) {
  if (!row || row->status != "done") return false;
  const auto replaced = database().value<int64_t>(
      "SELECT count(*) FROM lineage l JOIN stages s ON s.id = l.from_stage"
      " WHERE l.stage_id = ? AND s.status = 'set aside'",
      row->id);
  return replaced.value_or(0) == 0;
}

// The first stage that is still to be run, or "".
std::string Chain::first_left() {
  for (const RecipeStage& stage : recipe_.stages)
    if (!stands(find_stage(database(), run_id_, stage.name))) return stage.name;
  return "";
}

// A stage that stands, by the present recipe.
bool Chain::is_complete(size_t index) {
  const RecipeStage& stage = recipe_.stages[index];
  const auto row = find_stage(database(), run_id_, stage.name);
  if (!row || row->status != "done") return false;
  const std::string command = joined(stage_arguments(recipe_, stage, options_.folder));
  if (row->command != command)
    throw UserError({.what = "the recipe has changed since the stage ran",
                     .where = recipe_.path.string() + ":" + std::to_string(stage.line),
                     .expected = row->command,
                     .found = command,
                     .hint = "--from " + stage.name + " runs it and what follows again"});
  return stands(row);
}

bool Chain::run_stage(size_t index, bool anew) {
  const RecipeStage& stage = recipe_.stages[index];
  std::vector<std::string> arguments = stage_arguments(recipe_, stage, options_.folder);
  const std::string command = joined(arguments);
  const auto row = find_stage(database(), run_id_, stage.name);
  const bool goes_on = row && !anew && row->status != "done" && row->command == command &&
                       can_resume(stage.run) &&
                       fs::exists(options_.folder / stage.out / kStoreFile);
  int64_t id = 0;
  if (goes_on) {
    id = row->id;
    set_stage_status(database(), id, "running");
    arguments.push_back("--resume");
  } else {
    set_aside(stage, row);
    id = begin(index, command);
  }
  try {
    run_as_typed(program_, arguments, cli_);
  } catch (const std::exception& error) {
    finish_stage(database(), id, "failed", {});
    store_.add_event(run_id_, EventLevel::error, "stage " + stage.name + ": " + error.what());
    throw;
  }
  const bool interrupted = cli_.interrupt.requested();
  reach_moment("between stages");
  finish_stage(database(), id, interrupted ? "interrupted" : "done",
               interrupted ? std::vector<LineageItem>{} : outputs_of(stage));
  return !interrupted;
}

int64_t Chain::begin(size_t index, const std::string& command) {
  const RecipeStage& stage = recipe_.stages[index];
  return begin_stage(database(), run_id_,
                     {.name = stage.name,
                      .position = static_cast<int64_t>(index),
                      .subcommand = stage.run,
                      .command = command,
                      .output = stage.out},
                     inputs_of(stage));
}

// Nothing is lost: what an earlier attempt left gets another name.
void Chain::set_aside(const RecipeStage& stage, const std::optional<StageRow>& row) {
  const fs::path out = options_.folder / stage.out;
  if (fs::exists(fs::symlink_status(out))) {
    int number = 1;
    const auto name = [&] { return out.string() + ".old-" + std::to_string(number); };
    while (fs::exists(fs::symlink_status(name()))) ++number;
    fs::rename(out, name());
    cli_.log.info("stage " + stage.name + ": its earlier output is now " + name());
  }
  if (row) set_stage_status(database(), row->id, "set aside");
}

std::string Chain::relative(const fs::path& path) const {
  const fs::path inside =
      path.lexically_normal().lexically_relative(options_.folder.lexically_normal());
  const bool outside = inside.empty() || *inside.begin() == "..";
  return outside ? path.string() : inside.string();
}

std::vector<LineageItem> Chain::inputs_of(const RecipeStage& stage) {
  std::vector<LineageItem> items;
  for (const StageInput& input : stage_inputs(recipe_, stage, options_.folder)) {
    LineageItem item{.role = input.flag, .path = relative(input.path), .hash = ""};
    if (fs::exists(input.path)) item.hash = path_fingerprint(input.path);
    if (!input.from.empty()) {
      const auto made = find_stage(database(), run_id_, input.from);
      if (made) item.from_stage = made->id;
    }
    items.push_back(std::move(item));
  }
  return items;
}

std::vector<LineageItem> Chain::outputs_of(const RecipeStage& stage) const {
  const fs::path out = options_.folder / stage.out;
  std::vector<LineageItem> items;
  const auto add = [&](const char* role, const fs::path& path) {
    if (!fs::exists(path)) return;
    // A database goes on changing (its log is folded in when it is read), so it has no hash.
    const bool fixed = std::string_view(role) != "database";
    items.push_back({role, relative(path), fixed ? path_fingerprint(path) : ""});
  };
  if (fs::is_regular_file(out)) add("file", out);
  if (fs::exists(out / "config.json")) add("model", out);
  add("model", out / "model");
  for (const fs::path& folder : {out, out / "teacher"}) {
    add("samples", folder / "samples.jsonl");
    add("database", folder / kStoreFile);
  }
  return items;
}

}  // namespace temper
