#include "rollout/engine.h"

#include <algorithm>
#include <chrono>

#include "core/device.h"
#include "core/error.h"
#include "model/layers/lm_head.h"
#include "rollout/expert_recorder.h"

namespace temper {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

SampleResult empty_result(const RolloutRequest& request) {
  SampleResult result;
  const auto count = static_cast<size_t>(request.max_new_tokens);
  result.ids.reserve(count);
  result.logprobs.reserve(count);
  if (request.sampling.filtered()) result.sampled_logprobs.reserve(count);
  if (request.entropy) result.entropies.reserve(count);
  return result;
}

}  // namespace

struct RolloutEngine::Run {
  Run(std::span<const RolloutRequest> all, const RolloutCallbacks& calls,
      const SchedulerLimits& limits, const KvCache& cache, ExpertRecorder recorder)
      : requests(all),
        callbacks(calls),
        manager(cache.blocks, cache.block_size),
        scheduler(all, limits, manager),
        experts(std::move(recorder)) {}

  std::span<const RolloutRequest> requests;
  const RolloutCallbacks& callbacks;
  BlockManager manager;
  Scheduler scheduler;
  ExpertRecorder experts;
  RolloutOutput output = {};
  Clock::time_point start = Clock::now();
};

RolloutEngine::RolloutEngine(Context& ctx, const ModelWeights& weights, const ModelConfig& config,
                             const EngineLimits& limits)
    : ctx_(ctx), weights_(weights), config_(config), limits_(limits), scratch_(ctx.device) {
  require(limits.max_samples > 0 && limits.block_size > 0, "an engine needs room for a sample");
  limits_.max_rows = std::max(limits.max_rows, limits.max_samples);
  const int64_t longest = config.max_position_embeddings;
  if (limits.max_length <= 0) limits_.max_length = longest;
  if (longest > 0) limits_.max_length = std::min(limits_.max_length, longest);
  kept_ =
      allocate(weights.embed_tokens.dtype, {limits.max_samples, config.hidden_size}, ctx.device);
  requests_.reserve(static_cast<size_t>(limits.max_samples));
  draws_.reserve(static_cast<size_t>(limits.max_samples));
}

int64_t RolloutEngine::bytes_of_blocks(int64_t blocks) const {
  return blocks * limits_.block_size * config_.cache_width() * config_.num_hidden_layers *
         static_cast<int64_t>(size_of(weights_.embed_tokens.dtype));
}

void RolloutEngine::check(const RolloutRequest& request, size_t index) const {
  const std::string where = "prompt " + std::to_string(index + 1);
  check_sampling(request.sampling, where);
  const auto length = static_cast<int64_t>(request.prompt.size());
  if (length == 0) {
    throw UserError({.what = "the prompt has no tokens",
                     .where = where,
                     .hint = "start it with the tokenizer's begin token or some text"});
  }
  for (const int32_t id : request.prompt) {
    if (id >= 0 && id < config_.vocab_size) continue;
    throw UserError({.what = "the prompt holds an id that the model does not have",
                     .where = where,
                     .expected = "0 to " + std::to_string(config_.vocab_size - 1),
                     .found = std::to_string(id),
                     .hint = "use the tokenizer that belongs to the model"});
  }
  if (request.max_new_tokens < 1 || length + request.max_new_tokens > limits_.max_length) {
    throw UserError({.what = "the prompt and its completion do not fit the context",
                     .where = where,
                     .expected = "1 or more new tokens, and at most " +
                                 std::to_string(limits_.max_length) + " tokens together",
                     .found = std::to_string(length) + " + " +
                              std::to_string(request.max_new_tokens) + " tokens",
                     .hint = "ask for fewer new tokens or shorten the prompt"});
  }
}

// Blocks that the run can put to use: what the most costly requests that may run side by side
// need, within the memory limit. Throws UserError if one request alone needs more than that.
int64_t RolloutEngine::blocks_wanted(std::span<const RolloutRequest> requests) const {
  const BlockManager sizes(1, limits_.block_size);
  std::vector<int64_t> costs;  // of each sample as if it ran alone
  const int64_t most = limits_.cache_bytes / bytes_of_blocks(1);
  for (size_t i = 0; i < requests.size(); ++i) {
    const int64_t cost = Scheduler::cost(sizes, requests[i], 1);
    if (cost > most) {
      throw UserError({.what = "the cache is too small for one completion",
                       .where = "prompt " + std::to_string(i + 1),
                       .expected = "at most " + std::to_string(limits_.cache_bytes) + " bytes",
                       .found = std::to_string(bytes_of_blocks(cost)) + " bytes",
                       .hint = "raise the cache's memory limit or ask for fewer new tokens"});
    }
    const int64_t copies = std::min(requests[i].samples, limits_.max_samples);
    costs.insert(costs.end(), static_cast<size_t>(std::max<int64_t>(copies, 0)), cost);
  }
  std::sort(costs.begin(), costs.end(), std::greater<>());
  int64_t wanted = 1;
  for (size_t i = 0; i < costs.size() && i < static_cast<size_t>(limits_.max_samples); ++i) {
    wanted += costs[i];
  }
  return std::max<int64_t>(1, std::min(wanted, most));
}

RolloutOutput RolloutEngine::run(std::span<const RolloutRequest> requests,
                                 const RolloutCallbacks& callbacks) {
  for (size_t i = 0; i < requests.size(); ++i) check(requests[i], i);
  const int64_t blocks = blocks_wanted(requests);
  if (blocks > cache_.blocks) {
    cache_ = {};  // the old one goes before the new one comes
    cache_ = allocate_kv_cache(config_, blocks, limits_.block_size, weights_.embed_tokens.dtype,
                               ctx_.device);
  }
  Run run(requests, callbacks, {.max_samples = limits_.max_samples, .max_rows = limits_.max_rows},
          cache_, {requests, count_moe_layers(weights_), config_.num_experts_per_tok});
  run.output.samples.resize(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto samples = static_cast<size_t>(std::max<int64_t>(requests[i].samples, 0));
    for (size_t s = 0; s < samples; ++s) {
      run.output.samples[i].push_back(empty_result(requests[i]));
    }
    run.output.stats.samples += static_cast<int64_t>(samples);
  }
  run.output.stats.cache_bytes = bytes_of_blocks(cache_.blocks);
  for (;;) {
    if (callbacks.interrupt != nullptr && callbacks.interrupt->requested()) {
      run.scheduler.cancel();
      break;
    }
    const StepPlan& plan = run.scheduler.next();
    if (plan.rows() == 0 && plan.draws.empty()) break;
    step(run, plan);
    if (callbacks.on_step) callbacks.on_step(run.output.stats);
  }
  run.output.stats.seconds = seconds_since(run.start);
  run.experts.finish(run.output.samples);
  return std::move(run.output);
}

void RolloutEngine::step(Run& run, const StepPlan& plan) {
  ArenaScope scope(scratch_);
  for (const BlockCopy& copy : plan.copies) copy_cache_block(ctx_, cache_, copy.from, copy.to);
  Tensor hidden;
  if (plan.rows() > 0) hidden = decode(run, plan);
  const size_t row_bytes =
      static_cast<size_t>(config_.hidden_size) * size_of(weights_.embed_tokens.dtype);
  char* kept = static_cast<char*>(kept_.view.data);
  for (const StepPlan::Keep& keep : plan.keeps) {
    copy_bytes(ctx_, kept + static_cast<size_t>(keep.keep) * row_bytes, ctx_.device,
               static_cast<const char*>(hidden.data) + static_cast<size_t>(keep.row) * row_bytes,
               ctx_.device, row_bytes);
  }
  RolloutStats& stats = run.output.stats;
  ++stats.steps;
  stats.peak_running = std::max(stats.peak_running, run.scheduler.running());
  stats.peak_blocks = std::max(stats.peak_blocks, run.manager.used());
  if (!plan.draws.empty()) {
    const Tensor logits = logits_of(plan, hidden);
    draws_.resize(requests_.size());
    for (size_t i = 0; i < plan.draws.size(); ++i) {
      const PlannedDraw& planned = plan.draws[i];
      const RolloutRequest& request = run.requests[planned.request];
      SampleKey key = request.key;
      key.sample += static_cast<uint32_t>(planned.sample);
      const auto& ids =
          run.output.samples[planned.request][static_cast<size_t>(planned.sample)].ids;
      requests_[i].uniform = sampling_uniform(key, static_cast<uint32_t>(ids.size()));
      requests_[i].params = &request.sampling;
      requests_[i].entropy = request.entropy;
      requests_[i].kept = request.kept;
    }
    // On the GPU the logits come to the host: one sampler, the same draws on either device.
    const OwnedTensor copied = ctx_.device == Device::cpu ? OwnedTensor{} : to_host(ctx_, logits);
    sampler_.draw(ctx_, draws_, requests_, ctx_.device == Device::cpu ? logits : copied.view);
  }
  take_draws(run, plan);
}

// Hidden states [rows, d] of the plan's tokens, whose cache entries are written.
Tensor RolloutEngine::decode(Run& run, const StepPlan& plan) {
  const auto sequences = static_cast<int64_t>(plan.sequences.size());
  size_t width = 1;
  for (const BlockList* s : plan.sequences) width = std::max(width, s->blocks.size());
  std::vector<int32_t> table;  // [S, width]
  for (const BlockList* s : plan.sequences) {
    table.insert(table.end(), s->blocks.begin(), s->blocks.end());
    table.resize(table.size() + width - s->blocks.size(), 0);
  }
  const auto column = [&](const char* name, const std::vector<int32_t>& values) {
    return upload(ctx_, scratch_, name, values);
  };
  const DecodeBatch batch{
      .ids = column("rollout.ids", plan.ids),
      .positions = column("rollout.positions", plan.positions),
      .slots = column("rollout.slots", plan.slots),
      .rows = {.block_table = column("rollout.block_table", table)
                                  .reshape({sequences, static_cast<int64_t>(width)}),
               .row_sequence = column("rollout.row_sequence", plan.row_sequence),
               .context_length = column("rollout.context_length", plan.context_length)},
      .experts = run.experts.wanted() ? scratch_.tensor("rollout.experts", DType::i32,
                                                        {run.experts.layers() * plan.rows(),
                                                         config_.num_experts_per_tok})
                                      : Tensor{},
  };
  const Tensor hidden = decoder_decode(ctx_, scratch_, weights_, config_, batch, cache_);
  if (run.experts.wanted())
    run.experts.take(plan, download_ints(ctx_, batch.experts), run.output.samples);
  return hidden;
}

// Logits of the hidden states that draws need, one row for all draws of one state; sets the rows
// of requests_.
Tensor RolloutEngine::logits_of(const StepPlan& plan, Tensor hidden) {
  const DType dtype = weights_.embed_tokens.dtype;
  const size_t row_bytes = static_cast<size_t>(config_.hidden_size) * size_of(dtype);
  const auto draws = static_cast<int64_t>(plan.draws.size());
  Tensor states = scratch_.tensor("rollout.states", dtype, {draws, config_.hidden_size});
  requests_.resize(plan.draws.size());
  int32_t rows = 0;
  for (size_t i = 0; i < plan.draws.size(); ++i) {
    const PlannedDraw& d = plan.draws[i];
    const bool same =
        i > 0 && plan.draws[i - 1].row == d.row && (d.row >= 0 || plan.draws[i - 1].keep == d.keep);
    if (!same) {
      const Tensor& from = d.row >= 0 ? hidden : kept_.view;
      const auto at = static_cast<size_t>(d.row >= 0 ? d.row : d.keep);
      copy_bytes(ctx_, static_cast<char*>(states.data) + static_cast<size_t>(rows) * row_bytes,
                 ctx_.device, static_cast<const char*>(from.data) + at * row_bytes, ctx_.device,
                 row_bytes);
      ++rows;
    }
    requests_[i].row = rows - 1;
  }
  Tensor logits = scratch_.tensor("rollout.logits", stat_dtype(dtype), {rows, config_.vocab_size});
  lm_head_logits(ctx_, logits, states.slice_rows(0, rows), weights_.lm_head);
  return logits;
}

void RolloutEngine::take_draws(Run& run, const StepPlan& plan) {
  RolloutStats& stats = run.output.stats;
  stats.seconds = seconds_since(run.start);
  stats.prompt_tokens += plan.prompt_rows;
  stats.generated_tokens += static_cast<int64_t>(plan.draws.size());
  for (size_t i = 0; i < plan.draws.size(); ++i) {
    const PlannedDraw& d = plan.draws[i];
    const RolloutRequest& request = run.requests[d.request];
    SampleResult& result = run.output.samples[d.request][static_cast<size_t>(d.sample)];
    const Draw& draw = draws_[i];
    if (result.ids.empty()) result.first_token_seconds = stats.seconds;
    result.ids.push_back(draw.token);
    result.logprobs.push_back(draw.logprob);
    if (request.sampling.filtered()) result.sampled_logprobs.push_back(draw.sampled_logprob);
    if (request.entropy) result.entropies.push_back(draw.entropy);
    if (request.kept && request.sampling.filtered()) {
      result.kept.counts.push_back(static_cast<int32_t>(draw.kept.size()));
      result.kept.ids.insert(result.kept.ids.end(), draw.kept.begin(), draw.kept.end());
    }
    const TokenEvent event{.request = d.request, .sample = d.sample, .result = result};
    const auto& stops = request.stop_ids;
    bool stop = std::find(stops.begin(), stops.end(), draw.token) != stops.end();
    if (run.callbacks.on_token && !run.callbacks.on_token(event)) stop = true;
    const bool full = static_cast<int64_t>(result.ids.size()) >= request.max_new_tokens;
    run.scheduler.accept(i, draw.token, stop || full);
    if (!stop && !full) continue;
    result.finish = stop ? FinishReason::stop : FinishReason::length;
    result.seconds = stats.seconds;
    ++stats.finished;
    if (run.callbacks.on_finish) run.callbacks.on_finish(event);
  }
}

}  // namespace temper
