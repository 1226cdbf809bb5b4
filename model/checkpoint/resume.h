// Training checkpoints: a model folder that transformers loads too, with what a run needs to go on
// bit for bit: the optimiser's moments and step, and what the trainer says of itself (seeds,
// position in the data, its own step). Weights and state become visible together or not at all.
//
//   DIR/  config.json  model*.safetensors  tokenizer files: what load_model() and others read
//         training_state.safetensors (m, v)  training_state.json (step, layout, the trainer's own)
//
//   saving:    save_training_checkpoint(dir, weights, config, {.m = o.m.view, .v = o.v.view,
//                                       .step = o.step, .trainer = "{\"seed\":7}"}, tokenizer_dir);
//   resuming:  LoadedModel model = load_model(ctx, dir, dtype);
//              OptimizerState o = make_optimizer_state(model.weights, options);
//              ResumedState r = load_training_state(dir, model.weights, model.config, o.m.view,
//                                                   o.v.view);
//              o.step = r.step;
// Which checkpoint is the newest is the run database's to say.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/json.h"
#include "model/config.h"
#include "model/weights.h"

namespace temper {

// What is saved beside the weights. m and v lie as the weights' flat storage does.
struct TrainingState {
  Tensor m, v;                 // [parameters, padded]  f32, f64 or bf16
  int64_t step = 0;            // optimiser updates done
  std::string trainer = "{}";  // a JSON object of the trainer's own
};

// Writes weights, tokenizer and state into a temporary folder, syncs it and renames it to `dir`.
// The weights are stored in the type in which they are held. `tokenizer_from` as in SaveOptions.
// Throws SystemError; a folder that was there before stays as it was.
void save_training_checkpoint(const std::filesystem::path& dir, OwnedWeights& weights,
                              const ModelConfig& config, const TrainingState& state,
                              const std::filesystem::path& tokenizer_from);

struct ResumedState {
  int64_t step = 0;
  Json trainer;  // the object that was given as TrainingState::trainer
};
// Fills m and v, which must be of the saved type and size.
// Throws UserError: no state in the folder, moments of another type, or of another model.
ResumedState load_training_state(const std::filesystem::path& dir, OwnedWeights& weights,
                                 const ModelConfig& config, Tensor m, Tensor v);

}  // namespace temper
