#include "cli/training_run.h"

#include <algorithm>

#include "cli/run_row.h"
#include "core/json.h"
#include "data/store_reader.h"
#include "model/checkpoint/checksums.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

int64_t folder_bytes(const fs::path& dir) {
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(dir))
    if (entry.is_regular_file()) bytes += static_cast<int64_t>(entry.file_size());
  return bytes;
}

}  // namespace

int already_done(Invocation& cli, const std::string& out) {
  cli.log.info("the run in " + out + " is done: nothing is left to do");
  return 0;
}

int64_t micro_batch_tokens(const TrainingOptions& options, const RunFolder& folder) {
  return options.micro_batch_tokens > 0 ? options.micro_batch_tokens : folder.micro_batch_tokens();
}

TrainingRun::TrainingRun(Context& ctx, Invocation& cli, RunFolder& folder,
                         const TrainingRunSpec& spec, ModelInUse& model)
    : ctx_(ctx),
      spec_(spec),
      out_(folder.spec().out),
      model_(model),
      log_(cli.log),
      store_(folder.open()) {
  if (folder.run()) {
    id_ = folder.run()->id;
    folder.record_resume();
    return;
  }
  const std::string from = fs::absolute(spec.model).lexically_normal().string();
  id_ = store_.begin_run(run_row(cli, {.kind = folder.spec().kind,
                                       .model = from,
                                       .data = folder.spec().data,
                                       .seed = spec.seed,
                                       .dtype = model.weights.storage.view.dtype,
                                       .micro_batch_tokens = spec.micro_batch_tokens,
                                       .chat_template = spec.chat_template}));
}

TrainingRun::~TrainingRun() {
  if (finished_) return;
  try {
    store_.finish_run(id_, RunStatus::failed);
  } catch (const std::exception& error) {
    log_.warn(error.what());
  }
}

void TrainingRun::save(StepWriter& writer, const OptimizerState& optimizer,
                       const StageState& state) {
  const std::string name = "checkpoints/step-" + std::to_string(state.step);
  const fs::path dir = out_ / name;
  fs::create_directories(dir.parent_path());
  drop_old_checkpoints();
  save_training_checkpoint(
      ctx_, dir, model_.weights, model_.config,
      {optimizer.low.view, optimizer.m.view, optimizer.v.view, optimizer.step,
       optimizer.loss_scale.view},
      state,
      {.stored_as = spec_.save_dtype == "bf16" ? StoredAs::bf16 : StoredAs::f32,
       .tokenizer_from = tokenizer_folder()});
  NewCheckpoint row;
  row.path = name;
  row.policy_version = state.step;
  row.bytes = folder_bytes(dir);
  const std::string json = "{\"optimizer_step\":" + std::to_string(optimizer.step) +
                           ",\"checksums\":" + quote_json(file_checksum(dir / kChecksumFile)) + "}";
  row.trainer_state = json;
  writer.add_checkpoint(row);
}

// The folder that the run began with, or, if it is gone, the newest checkpoint: the one that the
// run was resumed from may be dropped meanwhile.
fs::path TrainingRun::tokenizer_folder() {
  if (fs::exists(spec_.model)) return spec_.model;
  const std::optional<CheckpointRow> last = last_checkpoint(store_.database(), id_);
  return last ? out_ / last->path : fs::path();
}

StepError TrainingRun::with_last_model(const StepError& error) {
  record_failure(store_, id_, error, error.step, error.data);
  Blame blame = error.blame();
  const std::optional<CheckpointRow> last = last_checkpoint(store_.database(), id_);
  if (!blame.hint.empty()) blame.hint += "; ";
  blame.hint += last ? "the model behind step " + std::to_string(last->key.step) + " is in " +
                           (out_ / last->path).string()
                     : "no step before it is saved";
  return {blame, error.step, error.data};
}

int64_t TrainingRun::next_step() {
  return store_.database()
             .value<int64_t>("SELECT coalesce(max(step), 0) FROM steps WHERE run_id = ?", id_)
             .value_or(0) +
         1;
}

void TrainingRun::drop_old_checkpoints() {
  // A folder goes only once the database that says so is on the disk: one save later.
  for (const fs::path& dir : to_remove_) fs::remove_all(dir);
  to_remove_.clear();
  const std::vector<CheckpointRow> saved = read_checkpoints(store_.database(), id_);
  for (size_t i = 0; i + static_cast<size_t>(spec_.keep) < saved.size(); ++i) {
    store_.mark_checkpoint_removed(saved[i].id);
    to_remove_.push_back(out_ / saved[i].path);
  }
}

void TrainingRun::finish(bool interrupted) {
  drop_old_checkpoints();
  const std::vector<CheckpointRow> saved = read_checkpoints(store_.database(), id_);
  if (!saved.empty()) {
    // The last checkpoint is the model; a link keeps one copy under a name that does not change.
    const fs::path link = out_ / "model";
    fs::remove(link);
    fs::create_directory_symlink(saved.back().path, link);
  }
  for (const fs::path& dir : to_remove_) fs::remove_all(dir);
  store_.finish_run(id_, interrupted ? RunStatus::interrupted : RunStatus::done);
  finished_ = true;
}

}  // namespace temper
