#include "model/checkpoint/resume.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/json_fields.h"
#include "model/checkpoint/hf_folder.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/staging_folder.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

constexpr const char* kState = "training_state.safetensors";
constexpr const char* kMeta = "training_state.json";

// A number of the order, names and shapes of the flat storage: moments fit only the same layout.
std::string layout_of(ModelWeights& weights, const ModelConfig& config) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const NamedTensor& named : tensors_of(weights, config))
    for (const char c : named.name + named.tensor->shape_text())
      hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211u;
  return std::to_string(hash);
}

void write_state(const fs::path& dir, OwnedWeights& weights, const ModelConfig& config,
                 const TrainingState& state) {
  SafetensorsWriter writer(
      dir / kState,
      {{"m", state.m.dtype, {state.m.numel()}}, {"v", state.v.dtype, {state.v.numel()}}},
      {{"layout", layout_of(weights.view, config)}});
  for (const Tensor& moment : {state.m, state.v})
    writer.write(moment.data, static_cast<size_t>(moment.numel()) * size_of(moment.dtype));
  writer.finish();
  write_file_atomically(dir / kMeta, "{\"step\": " + std::to_string(state.step) +
                                         ", \"trainer\": " + state.trainer + "}\n");
}

void read_moment(const SafetensorsFile& file, const char* name, const Tensor& moment) {
  const StoredTensor* stored = file.find(name);
  const std::string expected = std::string(safetensors_name(moment.dtype)) + " " +
                               shape_text(std::vector<int64_t>{moment.numel()});
  const std::string found =
      stored == nullptr ? "nothing" : stored->dtype + " " + shape_text(stored->shape);
  if (found != expected)
    throw UserError({.what = std::string("the saved moment '") + name + "' does not fit this run",
                     .where = file.path().string(),
                     .expected = expected,
                     .found = found,
                     .hint = "resume with the model, the type and the moments' type of the run"});
  std::memcpy(moment.data, stored->data, stored->bytes);
}

}  // namespace

void save_training_checkpoint(const fs::path& dir, OwnedWeights& weights, const ModelConfig& config,
                              const TrainingState& state, const fs::path& tokenizer_from) {
  require(state.m.numel() == weights.storage.view.numel() && same_shape(state.m, state.v),
          "moments that do not lie as the weights do");
  const bool wide = weights.storage.view.dtype == DType::f64;
  StagingFolder staging(dir);
  write_model_files(
      weights.view, config, staging.path(),
      {.stored_as = wide ? StoredAs::f64 : StoredAs::f32, .tokenizer_from = tokenizer_from});
  write_state(staging.path(), weights, config, state);
  staging.commit();
}

ResumedState load_training_state(const fs::path& dir, OwnedWeights& weights,
                                 const ModelConfig& config, Tensor m, Tensor v) {
  if (!fs::exists(dir / kMeta))
    throw UserError({.what = "this model folder has no training state to resume from",
                     .where = dir.string(),
                     .expected = std::string(kMeta) + " and " + kState,
                     .hint = "name a checkpoint of a run that was saved with its state"});
  const std::string where = (dir / kMeta).string();
  const Json json = parse_json(read_file(dir / kMeta), where);
  ResumedState resumed;
  resumed.step = JsonFields(json, where).integer("step", 0);
  const JsonValue* trainer = find_member(json, "trainer");
  if (trainer != nullptr) resumed.trainer.CopyFrom(*trainer, resumed.trainer.GetAllocator());
  const SafetensorsFile file(dir / kState);
  file.check();
  if (file.metadata("layout") != layout_of(weights.view, config))
    throw UserError({.what = "the saved moments belong to a model of another shape",
                     .where = file.path().string(),
                     .hint =
                         "config.json and training_state.safetensors must be of one save, and of "
                         "a version that lays the weights out as this one does"});
  read_moment(file, "m", m);
  read_moment(file, "v", v);
  return resumed;
}

}  // namespace temper
