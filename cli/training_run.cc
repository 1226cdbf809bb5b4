#include "cli/training_run.h"

#include <algorithm>

#include "cli/run_row.h"
#include "core/device.h"
#include "data/store_reader.h"
#include "model/checkpoint/transfer.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

int64_t folder_bytes(const fs::path& dir) {
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(dir))
    if (entry.is_regular_file()) bytes += static_cast<int64_t>(entry.file_size());
  return bytes;
}

// Two runs in one folder would take each other's checkpoints.
const fs::path& new_run_folder(const fs::path& out) {
  for (const char* name : {kStoreFile, "checkpoints", "model"})
    if (fs::exists(fs::symlink_status(out / name)))
      throw UserError({.what = "the run directory is in use: it has " + std::string(name),
                       .where = "--out " + out.string(),
                       .expected = "a folder without a run",
                       .hint = "give another --out; temper inspect " + out.string() +
                               " shows what this one holds"});
  return out;
}

}  // namespace

TrainingRun::TrainingRun(Context& ctx, Invocation& cli, const TrainingRunSpec& spec,
                         ModelInUse& model)
    : ctx_(ctx), spec_(spec), model_(model), log_(cli.log), store_(new_run_folder(spec.out)) {
  const std::string from = fs::absolute(model.path).lexically_normal().string();
  id_ = store_.begin_run(run_row(cli, {.kind = spec.kind,
                                       .model = from,
                                       .data = spec.data,
                                       .seed = spec.seed,
                                       .dtype = model.weights.storage.view.dtype}));
}

TrainingRun::~TrainingRun() {
  if (finished_) return;
  try {
    store_.finish_run(id_, RunStatus::failed);
  } catch (const std::exception& error) {
    log_.warn(error.what());
  }
}

void TrainingRun::save(StepWriter& writer, int64_t step, const OptimizerState& optimizer) {
  const std::string name = "checkpoints/step-" + std::to_string(step);
  const fs::path dir = spec_.out / name;
  fs::create_directories(dir.parent_path());
  drop_old_checkpoints();
  SaveOptions options;
  options.stored_as = spec_.save_dtype == "bf16" ? StoredAs::bf16 : StoredAs::f32;
  options.tokenizer_from = model_.path;
  if (model_.weights.storage.view.device == Device::cpu) {
    save_model(model_.weights.view, model_.config, dir, options);
  } else {
    OwnedWeights host = weights_on_host(ctx_, model_.weights, model_.config, optimizer.master.view);
    save_model(host.view, model_.config, dir, options);
  }
  NewCheckpoint row;
  row.path = name;
  row.policy_version = step;
  row.bytes = folder_bytes(dir);
  const std::string state = "{\"optimizer_step\":" + std::to_string(optimizer.step) + "}";
  row.trainer_state = state;
  writer.add_checkpoint(row);
}

void TrainingRun::drop_old_checkpoints() {
  // A folder goes only once the database that says so is on the disk: one save later.
  for (const fs::path& dir : to_remove_) fs::remove_all(dir);
  to_remove_.clear();
  const std::vector<CheckpointRow> saved = read_checkpoints(store_.database(), id_);
  for (size_t i = 0; i + static_cast<size_t>(spec_.keep) < saved.size(); ++i) {
    store_.mark_checkpoint_removed(saved[i].id);
    to_remove_.push_back(spec_.out / saved[i].path);
  }
}

void TrainingRun::finish(bool interrupted) {
  drop_old_checkpoints();
  const std::vector<CheckpointRow> saved = read_checkpoints(store_.database(), id_);
  if (!saved.empty()) {
    // The last checkpoint is the model; a link keeps one copy under a name that does not change.
    const fs::path link = spec_.out / "model";
    fs::remove(link);
    fs::create_directory_symlink(saved.back().path, link);
  }
  for (const fs::path& dir : to_remove_) fs::remove_all(dir);
  store_.finish_run(id_, interrupted ? RunStatus::interrupted : RunStatus::done);
  finished_ = true;
}

}  // namespace temper
