// The step that sft, grpo and distill share: accumulate micro-batches, clip, update.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/context.h"
#include "data/expert_trace.h"
#include "data/kept_tokens.h"
#include "model/decoder.h"
#include "model/layers/lm_head.h"
#include "model/ops/gradient_squares.h"
#include "model/optim/optimizer.h"
#include "model/training/expert_loads.h"
#include "model/training/linear_loss.h"

namespace temper {

struct TrainOptions {
  OptimizerOptions optimizer;
  bool recompute = false;
  double temperature = 1.0;        // of the log-probabilities that the loss sees
  double mtp_weight = 0.0;         // lambda: times the mean cross-entropy of the MTP modules
  double balance_alpha = 0.0;      // of the sequence balance loss
  double bias_update_speed = 0.0;  // gamma of the router biases; 0: frozen
  bool entropy = false;            // compute the entropy of each position
};

// One sequence to train on: token i counts in the loss if mask[i] (never token 0).
struct TrainSequence {
  std::vector<int32_t> ids;
  std::vector<uint8_t> mask;  // as long as ids
  // Log-probabilities and entropies of the counted tokens are over these; empty: over all tokens.
  KeptTokens kept = {};
  // Where its tokens go, from the first on; tokens without an entry go where the gates say.
  ExpertTrace experts = {};
};

// What the loss of a stage sees of one micro-batch, and what it gives back. Index [s][i]: token i
// of sequence s; entry 0 and masked-out tokens are 0. Units: nats.
struct TokenLoss {
  std::vector<std::vector<double>> logprob;   // of token i given the tokens before it
  std::vector<std::vector<double>> entropy;   // empty unless asked for
  std::vector<std::vector<double>> dlogprob;  // to be filled: d loss / d logprob
  std::vector<std::vector<double>> dentropy;  // stays empty, or to be filled
};
using LossFunction = std::function<void(TokenLoss&)>;

// What a stage sees of one micro-batch that computes its loss from the hidden states itself.
struct HeadTask {
  const TokenBatch& batch;
  Tensor hidden;    // [T, d]  ready for lm_head
  HeadRows rows;    // the counted tokens, in order of sequences and tokens
  HeadGrads grads;  // to add into: dhidden [T, d], dlm_head [V, d], fresh in a step's first one
};
using HeadLoss = std::function<void(const HeadTask&)>;

// Counts of the whole global batch, so that loss and gradient do not depend on its partition.
struct GlobalCounts {
  int64_t sequences = 0;
  int64_t mtp_targets = 0;  // over all modules: masked tokens that a module is asked for
};
GlobalCounts count_global(std::span<const TrainSequence> sequences, int64_t mtp_modules);

struct StepReport {
  double grad_norm = 0.0;  // before clipping
  double lr = 0.0;
  double loss_scale = 0.0;      // that the gradients carried (model/optim/loss_scale.h); 0: none
  int64_t skipped_updates = 0;  // of the run, since its gradients were not finite; grad_norm is 0
  double loss = 0.0;            // of accumulate_linear(), nats
  double mtp_loss = 0.0;        // mean cross-entropy of the MTP modules, nats
  double balance_loss = 0.0;    // mean over sequences and layers, before alpha
  double load_max_over_mean = 0.0;  // worst MoE layer's fullest expert; 1 is even
  int64_t tokens = 0;
  // Of accumulate_linear(): each counted token's part of the loss, in the order that they came.
  std::vector<double> token_losses = {};
  // Of the replayed tokens: how many there are, in how many of them a gate would have chosen
  // otherwise, and how many such experts.
  int64_t replayed_tokens = 0, differing_tokens = 0, differing_experts = 0;
};

// Owns gradients, moments and activations of one model in training. The weights stay the caller's,
// so that rollout reads the same copy.
class TrainStep {
 public:
  TrainStep(Context& ctx, const ModelConfig& config, OwnedWeights& weights, TrainOptions options);

  // Makes the gradients fresh. `counts` covers everything that accumulate() will get before
  // finish().
  void begin(const GlobalCounts& counts);
  // Forward, the stage's loss, backward; adds into the gradients (the first one writes them).
  // Throws SystemError with the memory plan and what the memory is taken by where it runs out.
  void accumulate(std::span<const TrainSequence> sequences, const LossFunction& loss);
  // The same for a loss whose derivative does not depend on the log-probabilities: the device is
  // not waited for, and finish() reports the loss, the sum of dlogprob * logprob. Shapes: dlogprob
  // [sequences][tokens], as in TokenLoss.
  void accumulate_linear(std::span<const TrainSequence> sequences,
                         const std::vector<std::vector<double>>& dlogprob);
  // The same for a loss of whole distributions, such as a distance to a teacher's.
  void accumulate_head(std::span<const TrainSequence> sequences, const HeadLoss& loss);
  // Clips, updates the weights and the router biases; waits for the gradients alone. Where the
  // gradients of f16 are not finite, the update is skipped and the next one's factor is half.
  // Throws UserError if loss or gradient are not finite; weights and moments are then as they were.
  StepReport finish(double lr);

  // Log-probabilities (and entropies) of the current weights, without gradient.
  TokenLoss score(const ModelWeights& weights, std::span<const TrainSequence> sequences);

  // What has been accumulated since begin(); finish() adds the rest.
  const StepReport& report() const { return report_; }
  // Adds what the device has summed since begin() to the report. Waits for the device.
  void report_sums();
  // How many tokens chose each expert since begin(): [MoE block][expert], MTP blocks last. Waits
  // for the device.
  std::vector<std::vector<int64_t>> load();
  OwnedWeights& gradients() { return grads_; }
  OptimizerState& optimizer() { return optimizer_; }
  const Arena& activations() const { return activations_; }
  const TrainOptions& options() const { return options_; }
  // What every derivative that is handed on to backward has to be multiplied by.
  double loss_scale() const;

 private:
  void run_micro_batch(std::span<const TrainSequence> sequences, const HeadLoss& loss);
  HeadParams head_params(std::span<const TrainSequence> sequences);
  Tensor replayed_experts(std::span<const TrainSequence> sequences, const TokenBatch& batch);
  void report_replay(std::span<const TrainSequence> sequences, Tensor differing);
  void token_loss(const HeadTask& task, std::span<const TrainSequence> sequences,
                  const LossFunction& loss);
  void report_linear_losses();
  void add_loads_to_report();
  StepReport skip_update();
  bool in_f16() const { return weights_.storage.view.dtype == DType::f16; }
  bool with_mtp() const { return options_.mtp_weight > 0.0 && !weights_.view.mtp.empty(); }
  void zero_shared_gradients();
  void mtp_loss(const DecoderSaved& saved, std::span<const TrainSequence> sequences,
                DecoderGrads& grads);

  Context& ctx_;
  const ModelConfig& config_;
  OwnedWeights& weights_;
  TrainOptions options_;
  OwnedWeights grads_;
  OptimizerState optimizer_;
  GradientSquares squares_;  // of the gradients that only a first micro-batch has written
  Arena activations_;
  LinearLoss linear_, mtp_linear_;  // what finish() makes the losses of
  ExpertLoads loads_;
  GlobalCounts counts_;
  bool fresh_ = true;  // nothing has been accumulated since begin()
  StepReport report_;
};

}  // namespace temper
