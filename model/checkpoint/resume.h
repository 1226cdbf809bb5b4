// Training checkpoints: a model folder that transformers loads too, with what a run needs to go on
// bit for bit. All of it becomes visible together or not at all.
//
//   DIR/  config.json  model*.safetensors  tokenizer files: what load_model() and others read
//         training_state.safetensors  moments m and v; the weights, where the model files hold
//                                     rounded ones; the loss's factor; what the stage keeps
//         training_state.json         steps, the layout of the flat storage, the stage's own facts
//         checksums.xxh64             of all the files above (model/checkpoint/checksums.h)
//
// Which checkpoint is the newest is the run database's to say.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/json.h"
#include "model/checkpoint/hf_folder.h"
#include "model/checkpoint/safetensors.h"
#include "model/weights.h"

namespace temper {

// A contiguous tensor of either device that a stage keeps.
struct StateTensor {
  std::string name;
  Tensor tensor;
};

// AdamW's memory as it lies: all of the layout of the weights' flat storage.
struct OptimizerTensors {
  Tensor low;  // other halves of 16-bit weights; empty if the weights are wide themselves
  Tensor m, v;
  int64_t step = 0;        // updates done
  Tensor loss_scale = {};  // on the host; empty where gradients are not scaled
};

// What a stage remembers besides weights and moments.
struct StageState {
  int64_t step = 0;          // of the run: done
  std::string facts = "{}";  // JSON object
  std::vector<StateTensor> tensors = {};
};

// Writes weights, tokenizer, state and checksums into a temporary folder, syncs it and renames it
// to `dir`. options.stored_as says how the model files hold the weights; the state has the exact
// ones where that is not exact.
// Throws SystemError; a folder that was there before stays as it was.
void save_training_checkpoint(Context& ctx, const std::filesystem::path& dir, OwnedWeights& weights,
                              const ModelConfig& config, const OptimizerTensors& optimizer,
                              const StageState& stage, const SaveOptions& options);

// A checkpoint to go on from.
//   TrainingCheckpoint from(dir);
//   LoadedModel model = load_model(ctx, dir, dtype);
//   OptimizerState o = make_optimizer_state(ctx, model.weights, options);
//   o.step = from.restore(ctx, model.weights, model.config,
//                         {o.low.view, o.m.view, o.v.view, 0, o.loss_scale.view});
class TrainingCheckpoint {
 public:
  // Throws UserError if the folder has no training state, or one that cannot be read.
  explicit TrainingCheckpoint(const std::filesystem::path& dir);

  int64_t step() const { return step_; }
  const Json& facts() const { return facts_; }
  const std::filesystem::path& dir() const { return dir_; }

  // Fills the moments and the exact weights (both halves); returns the optimiser's step.
  // Throws UserError: moments of another type, or of another model.
  int64_t restore(Context& ctx, OwnedWeights& weights, const ModelConfig& config,
                  const OptimizerTensors& optimizer) const;

  bool has(const std::string& name) const { return state_.find(name) != nullptr; }
  // Fills a contiguous tensor of either device. Throws UserError if the stored one is another.
  void read(Context& ctx, const std::string& name, const Tensor& into) const;
  // The bytes of a tensor, while this object lives. Throws UserError if there is none.
  std::string_view bytes(const std::string& name) const;

 private:
  std::filesystem::path dir_;
  SafetensorsFile state_;
  int64_t step_ = 0, optimizer_step_ = 0;
  Json facts_;
};

}  // namespace temper
