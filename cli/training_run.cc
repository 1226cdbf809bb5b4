#include "cli/training_run.h"

#include <algorithm>

#include "cli/help.h"
#include "core/device.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "data/store_reader.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// {"file": "sha256", ...}: which data the run saw.
std::string data_hashes(const std::vector<std::string>& files) {
  std::string json = "{";
  for (const std::string& file : files)
    json += (json.size() > 1 ? "," : "") + quote_json(file) + ":" +
            quote_json(fingerprint(read_file(file)));
  return json + "}";
}

std::string environment_json(const Invocation& cli, DType dtype) {
  return "{\"threads\":" + std::to_string(cli.common.threads) + ",\"dtype\":\"" +
         std::string(name_of(dtype)) + "\",\"device\":\"" +
         std::string(name_of(device_of(cli.common.device))) + "\"}";
}

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
                         ModelInUse& model, uint64_t seed)
    : ctx_(ctx), spec_(spec), model_(model), log_(cli.log), store_(new_run_folder(spec.out)) {
  NewRun run;
  run.kind = spec.kind;
  run.model = fs::absolute(model.path).lexically_normal().string();
  run.seed = seed;
  run.code_version = version_text();
  run.command_line = cli.command_line;
  run.config = cli.options.to_json();
  run.data_hashes = data_hashes(spec.data);
  run.environment = environment_json(cli, model.weights.storage.view.dtype);
  id_ = store_.begin_run(run);
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
