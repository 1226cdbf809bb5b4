// How much memory a stage will take, and the micro-batch that fits: known before step 1.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "model/training/train_step.h"

namespace temper {

struct MemoryPlan {
  struct Item {
    std::string name;
    int64_t bytes = 0;
  };
  std::vector<Item> items;         // weights, gradients, moments, activations, ...
  int64_t micro_batch_tokens = 0;  // 0: nothing is trained
  int64_t memory_bytes = 0;        // available
  int64_t total_bytes() const;
  // A table, one item a line, with the total and the micro-batch.
  std::string text() const;
};

struct PlanRequest {
  DType dtype = DType::f32;
  Device device = Device::cpu;
  int64_t longest_sequence = 0;               // tokens; a micro-batch holds at least one sequence
  int64_t micro_batch_tokens = 0;             // 0: as many as fit, up to 8192
  int64_t update_tokens = 0;                  // what an update has at most; 0: not known
  int64_t cache_bytes = 0;                    // of the rollout's KV cache
  bool reference = false;                     // a second copy of the weights for the KL term
  std::vector<MemoryPlan::Item> others = {};  // what else lives beside them: models of rewards
  int64_t memory_bytes = 0;                   // 0: what the device has available
};

// Bytes of activations that one training token keeps, attention's and the head's chunk included.
int64_t activation_bytes_per_token(const ModelConfig& config, const TrainOptions& options,
                                   DType dtype);

// The plan, whether it fits or not.
MemoryPlan estimate_training(const ModelConfig& config, const TrainOptions& options,
                             const PlanRequest& request);

// Throws UserError if the plan does not fit into the memory, naming what takes most and what to
// turn down.
MemoryPlan plan_training(const ModelConfig& config, const TrainOptions& options,
                         const PlanRequest& request);

// What to say when a step finds no more memory: `what` happened, what was planned, what lives in
// the arenas (largest first), and what to turn down.
std::string out_of_memory_text(const std::string& what, const MemoryPlan& plan,
                               const Arena& activations, const Arena& scratch);

// Generation with every sequence at its full length.
struct GenerationRequest {
  DType dtype = DType::f32;
  int64_t sequences = 0;            // at a time
  int64_t tokens = 0;               // of each sequence, prompt and completion
  int64_t cache_limit = INT64_MAX;  // bytes
};
// Weights without MTP, the KV cache (num_hidden_layers * cache_width() numbers a token) and the
// logits of one step. Units: bytes.
std::vector<MemoryPlan::Item> estimate_generation(const ModelConfig& config,
                                                  const GenerationRequest& request);

// The same with what else lives beside it, whose names say what it is. Throws UserError if that
// does not fit into the device's memory.
MemoryPlan plan_generation(const ModelConfig& config, const GenerationRequest& request,
                           Device device, const std::vector<MemoryPlan::Item>& others);

// A model with a scalar head, `tokens` going through it at once without gradient: weights and the
// activations of one block. Units: bytes.
std::vector<MemoryPlan::Item> estimate_scoring(const ModelConfig& config, DType dtype,
                                               int64_t tokens);

}  // namespace temper
