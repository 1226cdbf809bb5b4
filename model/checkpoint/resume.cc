#include "model/checkpoint/resume.h"

#include <algorithm>
#include <functional>

#include "core/device.h"
#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json_fields.h"
#include "core/moment.h"
#include "model/checkpoint/checksums.h"
#include "model/checkpoint/staging_folder.h"
#include "model/checkpoint/transfer.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

constexpr const char* kState = "training_state.safetensors";
constexpr const char* kMeta = "training_state.json";
constexpr size_t kPiece = size_t{64} << 20;  // bytes on their way from a device

// A number of the order, names and shapes of the flat storage: moments fit only the same layout.
std::string layout_of(ModelWeights& weights, const ModelConfig& config) {
  std::string text;
  const void* last = nullptr;
  for (const NamedTensor& named : tensors_of(weights, config)) {
    text += named.name + named.tensor->shape_text();
    if (named.role == TensorRole::router_bias) continue;
    if (std::less<>()(named.tensor->data, last)) text += " before it";
    last = named.tensor->data;
  }
  return std::to_string(fnv1a(text));
}

size_t bytes_of(const Tensor& t) {
  return static_cast<size_t>(t.numel()) * size_of(t.dtype);
}

void write_tensor(Context& ctx, SafetensorsWriter& writer, const Tensor& t) {
  const size_t bytes = bytes_of(t);
  if (t.device == Device::cpu) return writer.write(t.data, bytes);
  std::vector<char> piece(std::min(bytes, kPiece));
  for (size_t begin = 0; begin < bytes; begin += kPiece) {
    const size_t n = std::min(kPiece, bytes - begin);
    copy_bytes(ctx, piece.data(), Device::cpu, static_cast<const char*>(t.data) + begin, t.device,
               n);
    writer.write(piece.data(), n);
  }
}

bool is_exact(DType held, StoredAs stored) {
  return (held == DType::f32 && stored == StoredAs::f32) || stored == StoredAs::f64;
}

// `exact` are the weights as f32 or f64, all of them.
void write_state(Context& ctx, const fs::path& dir, OwnedWeights& exact, const ModelConfig& config,
                 const OptimizerTensors& optimizer, const StageState& stage, StoredAs stored_as) {
  std::vector<StateTensor> tensors = {{"m", optimizer.m}, {"v", optimizer.v}};
  const Tensor& weights = exact.storage.view;
  if (!is_exact(weights.dtype, stored_as)) tensors.push_back({"weights", weights});
  if (!optimizer.loss_scale.empty()) tensors.push_back({"loss_scale", optimizer.loss_scale});
  tensors.insert(tensors.end(), stage.tensors.begin(), stage.tensors.end());
  // The widest types first keeps all of them aligned.
  std::stable_sort(tensors.begin(), tensors.end(), [](const StateTensor& a, const StateTensor& b) {
    return size_of(a.tensor.dtype) > size_of(b.tensor.dtype);
  });
  std::vector<SafetensorsEntry> entries;
  for (const StateTensor& t : tensors)
    entries.push_back({t.name, t.tensor.dtype, {t.tensor.numel()}});
  SafetensorsWriter writer(dir / kState, entries, {{"layout", layout_of(exact.view, config)}});
  for (const StateTensor& t : tensors) write_tensor(ctx, writer, t.tensor);
  writer.finish();
  write_file_atomically(dir / kMeta, "{\"step\": " + std::to_string(stage.step) +
                                         ", \"optimizer_step\": " + std::to_string(optimizer.step) +
                                         ", \"facts\": " + stage.facts + "}\n");
}

const fs::path& with_state(const fs::path& dir) {
  if (!fs::exists(dir / kMeta) || !fs::exists(dir / kState))
    throw UserError({.what = "this model folder has no training state to resume from",
                     .where = dir.string(),
                     .expected = std::string(kMeta) + " and " + kState,
                     .hint = "name a checkpoint of a run that was saved with its state"});
  return dir;
}

}  // namespace

void save_training_checkpoint(Context& ctx, const fs::path& dir, OwnedWeights& weights,
                              const ModelConfig& config, const OptimizerTensors& optimizer,
                              const StageState& stage, const SaveOptions& options) {
  require(
      optimizer.m.numel() == weights.storage.view.numel() && same_shape(optimizer.m, optimizer.v),
      "moments that do not lie as the weights do");
  StagingFolder staging(dir);
  OwnedWeights host;
  const bool on_host = weights.storage.view.device == Device::cpu;
  if (!on_host) host = weights_on_host(ctx, weights, config, optimizer.low);
  OwnedWeights& exact = on_host ? weights : host;
  write_model_files(exact.view, config, staging.path(), options);
  reach_moment("checkpoint writing");
  write_state(ctx, staging.path(), exact, config, optimizer, stage, options.stored_as);
  write_checksums(staging.path());
  reach_moment("checkpoint rename");
  staging.commit();
  reach_moment("checkpoint renamed");
}

TrainingCheckpoint::TrainingCheckpoint(const fs::path& dir)
    : dir_(dir), state_(with_state(dir) / kState) {
  state_.check();
  const std::string where = (dir / kMeta).string();
  const Json json = parse_json(read_file(dir / kMeta), where);
  const JsonFields fields(json, where);
  step_ = fields.integer("step", 0);
  optimizer_step_ = fields.integer("optimizer_step", 0);
  const JsonValue* facts = find_member(json, "facts");
  if (facts == nullptr || !facts->IsObject()) fields.fail("facts", "an object");
  facts_.CopyFrom(*facts, facts_.GetAllocator());
}

void TrainingCheckpoint::read(Context& ctx, const std::string& name, const Tensor& into) const {
  const StoredTensor* stored = state_.find(name);
  const std::string expected = std::string(safetensors_name(into.dtype)) + " " +
                               shape_text(std::vector<int64_t>{into.numel()});
  const std::string found =
      stored == nullptr ? "nothing" : stored->dtype + " " + shape_text(stored->shape);
  if (found != expected)
    throw UserError({.what = "the saved tensor '" + name + "' does not fit this run",
                     .where = state_.path().string(),
                     .expected = expected,
                     .found = found,
                     .hint = "resume with the model, the type and the moments' type of the run"});
  copy_bytes(ctx, into.data, into.device, stored->data, Device::cpu, stored->bytes);
}

std::string_view TrainingCheckpoint::bytes(const std::string& name) const {
  const StoredTensor* stored = state_.find(name);
  if (stored == nullptr)
    throw UserError({.what = "the training state lacks '" + name + "'",
                     .where = state_.path().string(),
                     .hint = "resume with the options of the run"});
  return {stored->data, stored->bytes};
}

int64_t TrainingCheckpoint::restore(Context& ctx, OwnedWeights& weights, const ModelConfig& config,
                                    const OptimizerTensors& optimizer) const {
  if (state_.metadata("layout") != layout_of(weights.view, config))
    throw UserError({.what = "the saved moments belong to a model of another shape",
                     .where = state_.path().string(),
                     .hint =
                         "config.json and training_state.safetensors must be of one save, and of "
                         "a version that lays the weights out as this one does"});
  read(ctx, "m", optimizer.m);
  read(ctx, "v", optimizer.v);
  if (!optimizer.loss_scale.empty()) read(ctx, "loss_scale", optimizer.loss_scale);
  const Tensor& own = weights.storage.view;
  if (optimizer.low.empty()) {
    if (has("weights")) read(ctx, "weights", own);
  } else {
    // Where the model files are exact, the weights were rounded when they were loaded.
    ModelConfig same = config;
    const DType wide = stat_dtype(own.dtype);
    OwnedWeights host;
    OwnedTensor stored;
    if (has("weights")) {
      stored = allocate(wide, {own.numel()});
      read(ctx, "weights", stored.view);
    } else {
      host = load_weights(ctx, dir_, same, wide, nullptr);
    }
    set_halves(ctx, own, optimizer.low, has("weights") ? stored.view : host.storage.view);
  }
  synchronize(ctx);
  return optimizer_step_;
}

}  // namespace temper
