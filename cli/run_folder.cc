#include "cli/run_folder.h"

#include <algorithm>

#include "cli/help.h"
#include "cli/run_row.h"
#include "cli/stored_options.h"
#include "core/json.h"
#include "model/checkpoint/checksums.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// Two runs in one folder would take each other's checkpoints.
// `resume` was asked for, so the run's database, which a resume reads, is not there.
void refuse_used(const fs::path& out, bool resume) {
  for (const char* name : {kStoreFile, "checkpoints", "model"})
    if (fs::exists(fs::symlink_status(out / name))) {
      if (resume)
        throw UserError({.what = "the run's database is gone, and a resume goes by its rows",
                         .where = (out / kStoreFile).string(),
                         .hint = "bring it back, or train on from a checkpoint of " + out.string() +
                                 " with --model and another --out"});
      throw UserError({.what = "the run directory is in use: it has " + std::string(name),
                       .where = "--out " + out.string(),
                       .expected = "a folder without a run",
                       .hint = "give another --out, or --resume to go on with the run; temper "
                               "inspect " +
                               out.string() + " shows what this one holds"});
    }
}

// The member texts of a JSON object, in order.
std::vector<std::string> values_of(const JsonValue& object) {
  std::vector<std::string> values;
  if (object.IsObject())
    for (const auto& member : object.GetObject()) values.push_back(to_text(member.value));
  return values;
}

std::string steps_text(const std::vector<CheckpointRow>& saved) {
  std::string text;
  for (const CheckpointRow& row : saved)
    text += (text.empty() ? "" : ", ") + std::to_string(row.key.step);
  return text.empty() ? "none" : text;
}

[[noreturn]] void refuse_damaged(const fs::path& dir, const std::vector<std::string>& damage,
                                 const CheckpointRow* before) {
  std::string list;
  for (const std::string& line : damage) list += "\n    " + line;
  throw UserError({.what = "the checkpoint is damaged",
                   .where = dir.string(),
                   .found = list,
                   .hint = before == nullptr
                               ? "no earlier one is kept: bring the files back, or start again "
                                 "with another --out"
                               : "go on from " + before->path + " instead: --resume-from " +
                                     std::to_string(before->key.step)});
}

}  // namespace

std::vector<std::string> checkpoint_damage(const fs::path& dir, const CheckpointRow& row) {
  if (!fs::is_directory(dir)) return {"the folder is missing"};
  const Json state = parse_json(row.trainer_state, "checkpoints.trainer_state");
  const JsonValue* list = find_member(state, "checksums");
  if (list == nullptr) return {};  // of a release that wrote none
  const bool whole =
      fs::exists(dir / kChecksumFile) && file_checksum(dir / kChecksumFile) == list->GetString();
  if (!whole) return {std::string(kChecksumFile) + ": missing, damaged or of another save"};
  return damaged_files(dir, ChecksumScope::all);
}

void check_model_files(const RunRow& run, const fs::path& given) {
  const Json environment = parse_json(run.environment, "runs.environment");
  const JsonValue* then = find_member(environment, "model_files");
  if (then == nullptr) return;  // of a release that did not note them
  const Json now = parse_json(model_checksums(given), "the model");
  if (values_of(*then) == values_of(now)) return;
  throw UserError({.what = "the model folder is not the one that the run began with",
                   .where = given.string(),
                   .expected = to_text(*then),
                   .found = to_text(now),
                   .hint = "the run needs it once more; bring the files back as they were"});
}

RunFolder::RunFolder(Invocation& cli, const RunFolderSpec& spec) : cli_(cli), spec_(spec) {
  if (spec_.resume_from > 0) spec_.resume = true;
  const bool found = fs::exists(spec_.out / kStoreFile);
  if (!spec_.resume || !found) {
    refuse_used(spec_.out, spec_.resume);
    return;
  }
  lock_.emplace(spec_.out / kLockFile);
  store_.emplace(spec_.out, OpenMode::write);
  find_run();
  if (!run_) return;
  changed_ = changed_options(cli_.options, run_->config);
  check_data();
  find_checkpoint();
  complete_ = run_->status == "done" && spec_.resume_from == 0 && changed_.empty();
}

void RunFolder::find_run() {
  const std::vector<RunRow> runs = read_runs(store_->database());
  if (runs.empty()) return;  // it was killed before it could say what it is
  if (runs.back().kind != spec_.kind)
    throw UserError({.what = "the run in this folder is of another kind",
                     .where = "--out " + spec_.out.string(),
                     .expected = spec_.kind,
                     .found = runs.back().kind,
                     .hint = "go on with: temper " + runs.back().kind + " --resume --out " +
                             spec_.out.string()});
  run_ = runs.back();
}

void RunFolder::find_checkpoint() {
  const std::vector<CheckpointRow> saved = read_checkpoints(store_->database(), run_->id);
  size_t at = saved.size();
  for (size_t i = 0; i < saved.size(); ++i)
    if (spec_.resume_from == 0 || saved[i].key.step == spec_.resume_from) at = i;
  if (at == saved.size()) {
    if (spec_.resume_from == 0) return;
    throw UserError({.what = "there is no checkpoint of this step",
                     .where = "--resume-from " + std::to_string(spec_.resume_from),
                     .expected = "one of the steps " + steps_text(saved)});
  }
  const fs::path dir = spec_.out / saved[at].path;
  const std::vector<std::string> damage = checkpoint_damage(dir, saved[at]);
  if (!damage.empty()) refuse_damaged(dir, damage, at > 0 ? &saved[at - 1] : nullptr);
  checkpoint_.emplace(dir);
}

void RunFolder::check_data() const {
  const Json then = parse_json(run_->data_hashes, "runs.data_hashes");
  const Json now = parse_json(data_hashes(spec_.data), "the data");
  if (values_of(then) == values_of(now)) return;
  throw UserError({.what = "the data is not the data that the run began with",
                   .where = "--data",
                   .expected = run_->data_hashes,
                   .found = to_text(now),
                   .hint = "bring the files back as they were, or train on from the checkpoint "
                           "with another --out"});
}

void RunFolder::check_model(const fs::path& given) const {
  check_model_files(*run_, given);
}

fs::path RunFolder::model(const fs::path& given) const {
  return checkpoint_ ? checkpoint_->dir() : given;
}

int64_t RunFolder::micro_batch_tokens() const {
  if (!run_) return 0;
  const Json environment = parse_json(run_->environment, "runs.environment");
  const JsonValue* tokens = find_member(environment, "micro_batch_tokens");
  return tokens == nullptr ? 0 : tokens->GetInt64();
}

Store& RunFolder::open() {
  if (store_) return *store_;
  std::error_code error;
  fs::create_directories(spec_.out, error);
  if (error)
    throw UserError({.what = "cannot make the run directory: " + error.message(),
                     .where = "--out " + spec_.out.string(),
                     .hint = "give a folder that can be written to"});
  lock_.emplace(spec_.out / kLockFile);
  refuse_used(spec_.out, false);  // another process may have been faster
  return store_.emplace(spec_.out);
}

void RunFolder::record_resume() {
  cli_.interrupt.watch();  // from here on the row has to say how the run ended
  const int64_t step = checkpoint_ ? checkpoint_->step() : 0;
  if (run_->code_version != version_text())
    cli_.log.warn(
        "the run was begun by another build of temper: from here on its numbers may "
        "differ in the last bits");
  const std::string version = version_text();
  Resume resume{
      .run_id = run_->id, .step = step, .command_line = cli_.command_line, .code_version = version};
  if (!changed_.empty()) resume.config = with_changes(run_->config, cli_.options, changed_);
  const int64_t dropped = store_->resume_run(resume);
  std::string text =
      "resuming run " + std::to_string(run_->id) + " behind step " + std::to_string(step);
  if (dropped > 0) text += "; the " + std::to_string(dropped) + " steps behind it are done again";
  cli_.log.info(text);
  // What the run left behind without a row that counts: half-written or outdated folders.
  std::vector<fs::path> keep;
  for (const CheckpointRow& row : read_checkpoints(store_->database(), run_->id))
    keep.push_back(spec_.out / row.path);
  if (!fs::exists(spec_.out / "checkpoints")) return;
  for (const auto& entry : fs::directory_iterator(spec_.out / "checkpoints")) {
    const bool ours = entry.path().filename().string().starts_with("step-");
    if (ours && std::find(keep.begin(), keep.end(), entry.path()) == keep.end())
      fs::remove_all(entry.path());
  }
}

}  // namespace temper
