#include "model/training/train_step.h"

#include <algorithm>
#include <cmath>

#include "core/device.h"
#include "core/moment.h"
#include "core/named_range.h"
#include "core/out_of_memory.h"
#include "model/ops/elementwise.h"
#include "model/optim/loss_scale.h"
#include "model/training/memory_plan.h"
#include "model/training/token_numbers.h"

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

// Row t of the batch predicts token i = t - begin + 1 of its sequence: asked for if that token
// counts.
std::vector<int32_t> masked_targets(std::span<const TrainSequence> sequences) {
  std::vector<int32_t> targets;
  for (const TrainSequence& s : sequences)
    for (size_t i = 1; i <= s.ids.size(); ++i)
      targets.push_back(i < s.ids.size() && s.mask[i] ? s.ids[i] : -1);
  return targets;
}

// What f16 cannot hold, bf16 can.
constexpr const char* kTakeBf16 =
    "numbers beyond 65504, the largest of f16, become infinite: take --dtype bf16";

// In f16 this would look like a gradient that overflowed.
void check_finite(const std::vector<std::vector<double>>& logprob) {
  for (const std::vector<double>& tokens : logprob)
    for (const double x : tokens)
      if (!std::isfinite(x))
        throw UserError({.what = "a log-probability is not finite; the weights are as before this "
                                 "update",
                         .hint = kTakeBf16});
}

LogProbOutputs make_outputs(Arena& arena, DType dtype, int64_t rows, bool entropy) {
  LogProbOutputs out;
  out.logprob = arena.tensor("train.logprob", dtype, {rows});  // [R]
  out.lse = arena.tensor("train.lse", dtype, {rows});          // [R]
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
      grads_(allocate_weights(config, stat_dtype(weights.storage.view.dtype), ctx.device)),
      optimizer_(make_optimizer_state(ctx, weights, options.optimizer)),
      activations_(ctx.device),
      linear_(ctx.device),
      mtp_linear_(ctx.device),
      loads_(ctx.device, count_moe_layers_with_mtp(weights.view), config.n_routed_experts) {}

void TrainStep::begin(const GlobalCounts& counts) {
  fresh_ = true;
  if (ctx_.scratch.live_bytes() == 0) ctx_.scratch.reset();  // one block from the second step on
  loads_.clear(ctx_);
  linear_.take(), mtp_linear_.take();
  counts_ = counts;
  report_ = {};
}

// A step's first micro-batch writes the gradients, each with the first op that gets there. Several
// ops share the embedding's (a tied head writes it); a scalar head adds; modules that do not run
// have none.
void TrainStep::zero_shared_gradients() {
  if (grads_.view.lm_head.data != grads_.view.embed_tokens.data)
    fill_zero(ctx_, grads_.view.embed_tokens);
  if (!grads_.view.score.empty()) fill_zero(ctx_, grads_.view.score);
  if (with_mtp() || grads_.view.mtp.empty()) return;
  // The modules' gradients end the storage.
  const Tensor &all = grads_.storage.view, &first = grads_.view.mtp.front().enorm;
  const auto before = (static_cast<const char*>(first.data) - static_cast<const char*>(all.data)) /
                      static_cast<int64_t>(size_of(all.dtype));
  fill_zero(ctx_, all.slice_cols(before, all.cols() - before));
}

void TrainStep::accumulate(std::span<const TrainSequence> sequences, const LossFunction& loss) {
  accumulate_head(sequences, [&](const HeadTask& task) { token_loss(task, sequences, loss); });
}

void TrainStep::accumulate_linear(std::span<const TrainSequence> sequences,
                                  const std::vector<std::vector<double>>& dlogprob) {
  accumulate_head(sequences, [&](const HeadTask& task) {
    const DType dtype = stat_dtype(task.hidden.dtype);
    const HeadParams params = head_params(sequences);
    std::vector<double> numbers = counted_numbers(dlogprob, sequences);
    const Tensor gradient =
        upload_numbers(ctx_, activations_, dtype, numbers, loss_scale());  // [R]
    const LogProbOutputs head = make_outputs(activations_, dtype, task.rows.count(), false);
    lm_head_linear(ctx_, head, task.grads, gradient, task.hidden, weights_.view.lm_head, task.rows,
                   params);
    linear_.add(ctx_, std::move(numbers), head.logprob);
  });
}

void TrainStep::report_linear_losses() {
  for (const double loss : linear_.take()) {
    report_.token_losses.push_back(loss);
    report_.loss += loss;
  }
  for (const double loss : mtp_linear_.take()) report_.mtp_loss += loss;
  if (!std::isfinite(report_.loss))
    throw UserError(
        {.what = "the loss is not finite; the weights are as before this update",
         .hint = in_f16() ? kTakeBf16 : "lower --learning-rate or raise --warmup-steps"});
}

void TrainStep::accumulate_head(std::span<const TrainSequence> sequences, const HeadLoss& loss) {
  const NamedRange range(ctx_, "micro-batch");
  reach_moment("training");
  try {
    run_micro_batch(sequences, loss);
  } catch (const OutOfMemory& error) {
    int64_t tokens = 0, memory = available_memory(ctx_.device);
    for (const TrainSequence& s : sequences) tokens += static_cast<int64_t>(s.ids.size());
    for (const Tensor& held : {weights_.storage.view, grads_.storage.view, optimizer_.low.view,
                               optimizer_.m.view, optimizer_.v.view})
      memory += held.numel() * static_cast<int64_t>(size_of(held.dtype));
    memory += static_cast<int64_t>(activations_.reserved_bytes() + ctx_.scratch.reserved_bytes());
    const MemoryPlan plan = estimate_training(config_, options_,
                                              {.dtype = weights_.storage.view.dtype,
                                               .device = ctx_.device,
                                               .micro_batch_tokens = tokens,
                                               .memory_bytes = memory});
    throw SystemError(out_of_memory_text(error.what(), plan, activations_, ctx_.scratch));
  }
}

void TrainStep::run_micro_batch(std::span<const TrainSequence> sequences, const HeadLoss& loss) {
  activations_.reset();
  const TokenBatch batch = make_batch(ctx_, activations_, ids_of(sequences));
  const HeadRows rows = make_head_rows(ctx_, activations_, masked_targets(sequences));

  ForwardOptions forward{.recompute = options_.recompute, .mtp = with_mtp()};
  forward.experts = replayed_experts(sequences, batch);
  if (!forward.experts.empty()) {
    forward.differing = activations_.tensor("train.differing", DType::i32, {batch.tokens()});
    fill_zero(ctx_, forward.differing);
  }

  DecoderSaved saved;
  const Tensor hidden = decoder_forward(ctx_, activations_, &saved, weights_.view, config_, batch,
                                        forward);  // [T, d]
  report_replay(sequences, forward.differing);
  report_.tokens += batch.tokens();
  add_expert_load(ctx_, loads_.counts(), saved);

  DecoderGrads grads{.squares = &squares_};
  grads.dhidden =
      activations_.tensor("train.dhidden", hidden.dtype, {batch.tokens(), config_.hidden_size});
  fill_zero(ctx_, grads.dhidden);
  grads.fresh_weights = fresh_;
  squares_.forget();
  if (fresh_) zero_shared_gradients();
  loss({batch, hidden, rows, {grads.dhidden, {grads_.view.lm_head, fresh_}}});
  mtp_loss(saved, sequences, grads);

  // The mean over the global batch's sequences, summed over layers (DeepSeek-V3 eq. 17).
  const double sequences_total = static_cast<double>(std::max<int64_t>(1, counts_.sequences));
  if (config_.n_routed_experts > 0) {
    grads.balance.coefficient = options_.balance_alpha / sequences_total * loss_scale();
    grads.balance.sum = loads_.balance();
  }
  decoder_backward(ctx_, activations_, grads_.view, grads, saved, weights_.view, config_, batch);
  fresh_ = false;
}

// The loss of log-probabilities and entropies, by way of the chunked head.
void TrainStep::token_loss(const HeadTask& task, std::span<const TrainSequence> sequences,
                           const LossFunction& loss) {
  const DType dtype = stat_dtype(task.hidden.dtype);
  const Tensor lm_head = weights_.view.lm_head;
  const HeadParams params = head_params(sequences);
  const LogProbOutputs head =
      make_outputs(activations_, dtype, task.rows.count(), options_.entropy);
  lm_head_forward(ctx_, head, task.hidden, lm_head, task.rows, params);

  TokenLoss tokens;
  tokens.logprob = to_tokens(ctx_, head.logprob, sequences);
  if (in_f16()) check_finite(tokens.logprob);
  if (options_.entropy) tokens.entropy = to_tokens(ctx_, head.entropy, sequences);
  for (const TrainSequence& s : sequences) tokens.dlogprob.emplace_back(s.ids.size(), 0.0);
  loss(tokens);

  const Tensor dlogprob =
      from_tokens(ctx_, activations_, dtype, tokens.dlogprob, sequences, loss_scale());  // [R]
  Tensor dentropy;
  if (!tokens.dentropy.empty())
    dentropy = from_tokens(ctx_, activations_, dtype, tokens.dentropy, sequences, loss_scale());
  lm_head_backward(ctx_, task.grads, dlogprob, dentropy, head, task.hidden, lm_head, task.rows,
                   params);
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
  params.kept_begin = upload(ctx_, activations_, "train.kept_begin", begin);
  params.kept_ids = upload(ctx_, activations_, "train.kept_ids", ids);
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
  std::vector<int32_t> experts(static_cast<size_t>(layers * tokens * top_k), -1);  // [M T, K]
  int64_t begin = 0;
  for (const TrainSequence& s : sequences) {
    const ExpertTrace& trace = s.experts;
    require(trace.empty() || trace.per_token == layers * top_k, "a trace of this model's layers");
    const auto length = static_cast<int64_t>(s.ids.size());
    for (int64_t t = 0; t < std::min(length, trace.tokens()); ++t)
      for (int64_t l = 0; l < layers; ++l)
        std::copy_n(trace.experts.begin() + t * trace.per_token + l * top_k, top_k,
                    experts.begin() + (l * tokens + begin + t) * top_k);
    begin += length;
  }
  return upload(ctx_, activations_, "train.experts", experts).reshape({layers * tokens, top_k});
}

void TrainStep::report_replay(std::span<const TrainSequence> sequences, Tensor differing) {
  if (differing.empty()) return;
  for (const TrainSequence& s : sequences) report_.replayed_tokens += s.experts.tokens();
  for (const int32_t count : download_ints(ctx_, differing)) {
    report_.differing_tokens += count > 0;
    report_.differing_experts += count;
  }
}

void TrainStep::mtp_loss(const DecoderSaved& saved, std::span<const TrainSequence> sequences,
                         DecoderGrads& grads) {
  // L_MTP = lambda / D * sum_k CE_k (DeepSeek-V3 eq. 24-25), each CE a mean over counted targets.
  const auto targets = static_cast<double>(std::max<int64_t>(1, counts_.mtp_targets));
  std::vector<TrainSequence> shifted(sequences.begin(), sequences.end());
  for (const MtpSaved& module : saved.mtp) {
    // Module k sees each sequence without its first token; sequences that run out are gone.
    for (TrainSequence& s : shifted) {
      s.ids.erase(s.ids.begin());
      s.mask.erase(s.mask.begin());
    }
    std::erase_if(shifted, [](const TrainSequence& s) { return s.ids.empty(); });
    const DType dtype = module.hidden.dtype;
    const HeadRows rows = make_head_rows(ctx_, activations_, masked_targets(shifted));
    const Tensor dhidden = activations_.tensor(
        "train.dmtp_hidden", dtype, {module.hidden.rows(), config_.hidden_size});  // [T', d]
    fill_zero(ctx_, dhidden);
    const auto count = static_cast<size_t>(rows.count());
    const Tensor dlogprob = upload_numbers(
        ctx_, activations_, stat_dtype(dtype),
        std::vector<double>(count, -options_.mtp_weight / targets), loss_scale());  // [R]
    const LogProbOutputs head = make_outputs(activations_, stat_dtype(dtype), rows.count(), false);
    lm_head_linear(ctx_, head, {dhidden, grads_.view.lm_head}, dlogprob, module.hidden,
                   weights_.view.lm_head, rows, {});
    mtp_linear_.add(ctx_, std::vector<double>(count, -1.0 / targets), head.logprob);
    grads.dmtp_hidden.push_back(dhidden);
  }
}

StepReport TrainStep::finish(double lr) {
  const NamedRange range(ctx_, "update");
  if (fresh_) fill_zero(ctx_, grads_.storage.view), squares_.forget();  // nothing was accumulated
  loads_.send(ctx_);
  report_linear_losses();  // the device is busy with backward meanwhile
  report_.grad_norm = global_grad_norm(ctx_, grads_, squares_) / loss_scale();
  report_.lr = lr;
  if (in_f16()) report_.loss_scale = loss_scale();
  const bool finite = std::isfinite(report_.grad_norm);
  if (!finite && !in_f16())
    throw UserError({.what = "the gradient is not finite; the weights are as before this update",
                     .hint = "lower the learning rate, or look at this step's samples"});
  reach_moment("update");
  if (!finite) {
    add_loads_to_report();
    return skip_update();
  }
  optimizer_step(ctx_, weights_, optimizer_, grads_, report_.grad_norm, lr, options_.optimizer);
  if (options_.bias_update_speed > 0.0)
    update_router_biases(ctx_, weights_.view, loads_.counts(), options_.bias_update_speed);
  add_loads_to_report();  // what was sent before the update
  LossScale scale(optimizer_.loss_scale.view);
  scale.grow();
  report_.skipped_updates = scale.skipped();
  reach_moment("updated");
  return report_;
}

// The gradients are not finite, and so no update is made: their factor was too large.
StepReport TrainStep::skip_update() {
  LossScale scale(optimizer_.loss_scale.view);
  if (!scale.shrink())
    throw UserError({.what = "the gradient is not finite; the weights are as before this update",
                     .found = "gradients beyond 65504 even where the loss is not scaled",
                     .hint = kTakeBf16});
  report_.skipped_updates = scale.skipped();
  report_.grad_norm = 0.0;
  fill_zero(ctx_, optimizer_.squares.view);
  return report_;
}

double TrainStep::loss_scale() const {
  return LossScale(optimizer_.loss_scale.view).factor();
}

void TrainStep::report_sums() {
  loads_.send(ctx_);
  report_linear_losses();
  add_loads_to_report();
}

void TrainStep::add_loads_to_report() {
  if (loads_.counts().numel() == 0 || config_.n_routed_experts == 0) return;
  const double sequences_total = static_cast<double>(std::max<int64_t>(1, counts_.sequences));
  report_.balance_loss = loads_.balance_sum() / sequences_total;
  for (const std::vector<int64_t>& layer : loads_.layers()) {
    double sum = 0.0, most = 0.0;
    for (int64_t count : layer) {
      sum += static_cast<double>(count);
      most = std::max(most, static_cast<double>(count));
    }
    if (sum > 0.0)
      report_.load_max_over_mean =
          std::max(report_.load_max_over_mean, most * static_cast<double>(layer.size()) / sum);
  }
}

std::vector<std::vector<int64_t>> TrainStep::load() {
  loads_.send(ctx_);
  return loads_.layers();
}

TokenLoss TrainStep::score(const ModelWeights& weights, std::span<const TrainSequence> sequences) {
  activations_.reset();
  const TokenBatch batch = make_batch(ctx_, activations_, ids_of(sequences));
  const HeadRows rows = make_head_rows(ctx_, activations_, masked_targets(sequences));
  const Tensor hidden = decoder_forward(ctx_, activations_, nullptr, weights, config_, batch,
                                        {.experts = replayed_experts(sequences, batch)});  // [T, d]
  const LogProbOutputs head =
      make_outputs(activations_, stat_dtype(hidden.dtype), rows.count(), options_.entropy);
  lm_head_forward(ctx_, head, hidden, weights.lm_head, rows, head_params(sequences));
  TokenLoss out;
  out.logprob = to_tokens(ctx_, head.logprob, sequences);
  if (options_.entropy) out.entropy = to_tokens(ctx_, head.entropy, sequences);
  return out;
}

}  // namespace temper
