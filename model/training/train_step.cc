#include "model/training/train_step.h"

#include <algorithm>
#include <cmath>

#include "model/ops/elementwise.h"

namespace temper {
namespace {

std::vector<std::vector<int32_t>> ids_of(std::span<const TrainSequence> sequences) {
  std::vector<std::vector<int32_t>> ids;
  for (const TrainSequence& s : sequences) {
    require(s.mask.size() == s.ids.size(), "a mask entry for each token");
    ids.push_back(s.ids);
  }
  return ids;
}

// Row t of the batch predicts token i = t - begin + 1 of its sequence: keep it if that token
// counts.
Tensor masked_targets(Arena& arena, const TokenBatch& batch,
                      std::span<const TrainSequence> sequences) {
  Tensor targets = arena.tensor("train.targets", DType::i32, {batch.tokens()});  // [T]
  int64_t t = 0;
  for (const TrainSequence& s : sequences)
    for (size_t i = 1; i <= s.ids.size(); ++i, ++t)
      targets.get<int32_t>()[t] = i < s.ids.size() && s.mask[i] ? s.ids[i] : -1;
  return targets;
}

// The rows of a [T] tensor as [sequence][token], token i from row begin + i - 1.
std::vector<std::vector<double>> to_tokens(Tensor rows, std::span<const TrainSequence> sequences) {
  std::vector<std::vector<double>> out;
  int64_t t = 0;
  for (const TrainSequence& s : sequences) {
    std::vector<double>& tokens = out.emplace_back(s.ids.size(), 0.0);
    dispatch_float(rows.dtype, [&]<class T>() {
      for (size_t i = 1; i < s.ids.size(); ++i)
        tokens[i] = static_cast<double>(rows.get<T>()[t + static_cast<int64_t>(i) - 1]);
    });
    t += static_cast<int64_t>(s.ids.size());
  }
  return out;
}

// The inverse of to_tokens; the last row of each sequence is 0.
Tensor from_tokens(Arena& arena, DType dtype, int64_t rows,
                   const std::vector<std::vector<double>>& tokens) {
  Tensor out = arena.tensor("train.dtoken", dtype, {rows});  // [T]
  dispatch_float(dtype, [&]<class T>() {
    int64_t t = 0;
    for (const std::vector<double>& sequence : tokens) {
      for (size_t i = 1; i < sequence.size(); ++i) out.get<T>()[t++] = static_cast<T>(sequence[i]);
      out.get<T>()[t++] = T{0};
    }
  });
  return out;
}

LogProbOutputs make_outputs(Arena& arena, DType dtype, int64_t rows, bool entropy) {
  LogProbOutputs out;
  out.logprob = arena.tensor("train.logprob", dtype, {rows});  // [T]
  out.lse = arena.tensor("train.lse", dtype, {rows});          // [T]
  if (entropy) out.entropy = arena.tensor("train.entropy", dtype, {rows});
  return out;
}

}  // namespace

GlobalCounts count_global(std::span<const TrainSequence> sequences, int64_t mtp_modules) {
  GlobalCounts counts;
  counts.sequences = static_cast<int64_t>(sequences.size());
  for (const TrainSequence& s : sequences)
    for (int64_t k = 0; k < mtp_modules; ++k)
      for (size_t i = static_cast<size_t>(k) + 2; i < s.ids.size(); ++i)
        counts.mtp_targets += s.mask[i] != 0;
  return counts;
}

TrainStep::TrainStep(Context& ctx, const ModelConfig& config, OwnedWeights& weights,
                     TrainOptions options)
    : ctx_(ctx),
      config_(config),
      weights_(weights),
      options_(options),
      grads_(allocate_weights(config, weights.storage.view.dtype)),
      optimizer_(make_optimizer_state(weights, options.optimizer)) {}

void TrainStep::begin(const GlobalCounts& counts) {
  fill_zero(ctx_, grads_.storage.view);
  for (auto& layer : load_) std::fill(layer.begin(), layer.end(), 0);
  counts_ = counts;
  report_ = {};
}

void TrainStep::accumulate(std::span<const TrainSequence> sequences, const LossFunction& loss) {
  activations_.reset();
  const TokenBatch batch = make_batch(activations_, ids_of(sequences));
  const Tensor targets = masked_targets(activations_, batch, sequences);
  const bool with_mtp = options_.mtp_weight > 0.0 && !weights_.view.mtp.empty();

  ForwardOptions forward{.recompute = options_.recompute, .mtp = with_mtp};
  forward.experts = replayed_experts(sequences, batch);
  if (!forward.experts.empty()) {
    forward.differing = activations_.tensor("train.differing", DType::i32, {batch.tokens()});
    fill_zero(ctx_, forward.differing);
  }

  DecoderSaved saved;
  const Tensor hidden = decoder_forward(ctx_, activations_, &saved, weights_.view, config_, batch,
                                        forward);  // [T, d]
  report_replay(sequences, forward.differing);
  const LogProbOutputs head =
      make_outputs(activations_, hidden.dtype, batch.tokens(), options_.entropy);
  lm_head_forward(ctx_, head, hidden, weights_.view.lm_head, targets, head_params(sequences));

  TokenLoss tokens;
  tokens.logprob = to_tokens(head.logprob, sequences);
  if (options_.entropy) tokens.entropy = to_tokens(head.entropy, sequences);
  for (const TrainSequence& s : sequences) tokens.dlogprob.emplace_back(s.ids.size(), 0.0);
  loss(tokens);

  report_.tokens += batch.tokens();
  add_expert_load(load_, saved);
  backward(batch, saved, targets, head, tokens, sequences);
}

void TrainStep::backward(const TokenBatch& batch, const DecoderSaved& saved, Tensor targets,
                         const LogProbOutputs& head, const TokenLoss& loss,
                         std::span<const TrainSequence> sequences) {
  const DType dtype = saved.hidden.dtype;
  const Tensor dlogprob = from_tokens(activations_, dtype, batch.tokens(), loss.dlogprob);
  Tensor dentropy;
  if (!loss.dentropy.empty())
    dentropy = from_tokens(activations_, dtype, batch.tokens(), loss.dentropy);

  DecoderGrads grads;
  grads.dhidden =
      activations_.tensor("train.dhidden", dtype, {batch.tokens(), config_.hidden_size});
  fill_zero(ctx_, grads.dhidden);
  lm_head_backward(ctx_, {grads.dhidden, grads_.view.lm_head}, dlogprob, dentropy, head,
                   saved.hidden, weights_.view.lm_head, targets, head_params(sequences));
  mtp_loss(saved, sequences, grads);

  // The mean over the global batch's sequences, summed over layers (DeepSeek-V3 eq. 17).
  const double sequences_total = static_cast<double>(std::max<int64_t>(1, counts_.sequences));
  if (config_.n_routed_experts > 0) {
    grads.balance_coefficient = options_.balance_alpha / sequences_total;
    report_.balance_loss += decoder_balance_loss(ctx_, saved, config_, batch) / sequences_total;
  }
  decoder_backward(ctx_, activations_, grads_.view, grads, saved, weights_.view, config_, batch);
}

// The temperature, and what the sampler kept for each counted token; a sequence without a set has
// empty sets, which keep everything.
HeadParams TrainStep::head_params(std::span<const TrainSequence> sequences) {
  HeadParams params{.temperature = options_.temperature};
  std::vector<int32_t> begin{0}, ids;
  for (const TrainSequence& s : sequences) {
    size_t counted = 0;
    for (size_t i = 1; i < s.mask.size(); ++i) counted += s.mask[i] != 0;
    require(s.kept.empty() || s.kept.counts.size() == counted, "a set for each counted token");
    for (size_t i = 0; i < counted; ++i)
      begin.push_back(begin.back() + (s.kept.empty() ? 0 : s.kept.counts[i]));
    ids.insert(ids.end(), s.kept.ids.begin(), s.kept.ids.end());
  }
  if (ids.empty()) return params;
  require(static_cast<size_t>(begin.back()) == ids.size(), "as many kept ids as the counts say");
  params.kept_begin =
      activations_.tensor("train.kept_begin", DType::i32, {static_cast<int64_t>(begin.size())});
  params.kept_ids =
      activations_.tensor("train.kept_ids", DType::i32, {static_cast<int64_t>(ids.size())});
  std::copy(begin.begin(), begin.end(), params.kept_begin.get<int32_t>());
  std::copy(ids.begin(), ids.end(), params.kept_ids.get<int32_t>());
  return params;
}

// The traces as the decoder takes them, -1 where there is none; empty without any.
Tensor TrainStep::replayed_experts(std::span<const TrainSequence> sequences,
                                   const TokenBatch& batch) {
  const bool any = std::any_of(sequences.begin(), sequences.end(),
                               [](const TrainSequence& s) { return !s.experts.empty(); });
  if (!any) return {};
  const int64_t layers = count_moe_layers(weights_.view), top_k = config_.num_experts_per_tok;
  const int64_t tokens = batch.tokens();
  Tensor experts =
      activations_.tensor("train.experts", DType::i32, {layers * tokens, top_k});  // [M T, K]
  std::fill_n(experts.get<int32_t>(), experts.numel(), -1);
  int64_t begin = 0;
  for (const TrainSequence& s : sequences) {
    const ExpertTrace& trace = s.experts;
    require(trace.empty() || trace.per_token == layers * top_k, "a trace of this model's layers");
    const auto length = static_cast<int64_t>(s.ids.size());
    for (int64_t t = 0; t < std::min(length, trace.tokens()); ++t)
      for (int64_t l = 0; l < layers; ++l)
        std::copy_n(trace.experts.begin() + t * trace.per_token + l * top_k, top_k,
                    experts.row<int32_t>(l * tokens + begin + t));
    begin += length;
  }
  return experts;
}

void TrainStep::report_replay(std::span<const TrainSequence> sequences, Tensor differing) {
  if (differing.empty()) return;
  for (const TrainSequence& s : sequences) report_.replayed_tokens += s.experts.tokens();
  for (int64_t t = 0; t < differing.numel(); ++t) {
    report_.differing_tokens += differing.get<int32_t>()[t] > 0;
    report_.differing_experts += differing.get<int32_t>()[t];
  }
}

void TrainStep::mtp_loss(const DecoderSaved& saved, std::span<const TrainSequence> sequences,
                         DecoderGrads& grads) {
  // L_MTP = lambda / D * sum_k CE_k (DeepSeek-V3 eq. 24-25), each CE a mean over counted targets.
  const double coefficient =
      options_.mtp_weight / static_cast<double>(std::max<int64_t>(1, counts_.mtp_targets));
  std::vector<TrainSequence> shifted(sequences.begin(), sequences.end());
  for (const MtpSaved& module : saved.mtp) {
    // Module k sees each sequence without its first token; sequences that run out are gone.
    for (TrainSequence& s : shifted) {
      s.ids.erase(s.ids.begin());
      s.mask.erase(s.mask.begin());
    }
    std::erase_if(shifted, [](const TrainSequence& s) { return s.ids.empty(); });
    const TokenBatch& batch = module.stream.batch;
    const DType dtype = module.hidden.dtype;
    const Tensor targets = masked_targets(activations_, batch, shifted);
    const LogProbOutputs head = make_outputs(activations_, dtype, batch.tokens(), false);
    lm_head_forward(ctx_, head, module.hidden, weights_.view.lm_head, targets, {});

    Tensor dlogprob = activations_.tensor("train.dmtp", dtype, {batch.tokens()});  // [T']
    dispatch_float(dtype, [&]<class T>() {
      for (int64_t t = 0; t < batch.tokens(); ++t) {
        report_.mtp_loss -= static_cast<double>(head.logprob.get<T>()[t]) /
                            static_cast<double>(std::max<int64_t>(1, counts_.mtp_targets));
        dlogprob.get<T>()[t] = static_cast<T>(-coefficient);
      }
    });
    Tensor dhidden = activations_.tensor("train.dmtp_hidden", dtype,
                                         {batch.tokens(), config_.hidden_size});  // [T', d]
    fill_zero(ctx_, dhidden);
    lm_head_backward(ctx_, {dhidden, grads_.view.lm_head}, dlogprob, {}, head, module.hidden,
                     weights_.view.lm_head, targets, {});
    grads.dmtp_hidden.push_back(dhidden);
  }
}

StepReport TrainStep::finish(double lr) {
  report_.grad_norm = global_grad_norm(ctx_, grads_);
  report_.lr = lr;
  if (!std::isfinite(report_.grad_norm))
    throw UserError({.what = "the gradient is not finite; the weights are as before this step",
                     .hint = "lower the learning rate, or look at this step's samples"});
  optimizer_step(ctx_, weights_, optimizer_, grads_, report_.grad_norm, lr, options_.optimizer);
  if (options_.bias_update_speed > 0.0)
    update_router_biases(weights_.view, load_, options_.bias_update_speed);
  for (const std::vector<int64_t>& layer : load_) {
    double sum = 0.0, most = 0.0;
    for (int64_t count : layer) {
      sum += static_cast<double>(count);
      most = std::max(most, static_cast<double>(count));
    }
    if (sum > 0.0)
      report_.load_max_over_mean =
          std::max(report_.load_max_over_mean, most * static_cast<double>(layer.size()) / sum);
  }
  return report_;
}

TokenLoss TrainStep::score(const ModelWeights& weights, std::span<const TrainSequence> sequences) {
  activations_.reset();
  const TokenBatch batch = make_batch(activations_, ids_of(sequences));
  const Tensor targets = masked_targets(activations_, batch, sequences);
  const Tensor hidden = decoder_forward(ctx_, activations_, nullptr, weights, config_, batch,
                                        {.experts = replayed_experts(sequences, batch)});  // [T, d]
  const LogProbOutputs head =
      make_outputs(activations_, hidden.dtype, batch.tokens(), options_.entropy);
  lm_head_forward(ctx_, head, hidden, weights.lm_head, targets, head_params(sequences));
  TokenLoss out;
  out.logprob = to_tokens(head.logprob, sequences);
  if (options_.entropy) out.entropy = to_tokens(head.entropy, sequences);
  return out;
}

}  // namespace temper
