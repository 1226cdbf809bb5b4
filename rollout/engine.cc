#include "rollout/engine.h"

#include <algorithm>
#include <chrono>
#include <deque>

#include "core/error.h"
#include "core/moment.h"
#include "rollout/expert_recorder.h"

namespace temper {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Steps that may be queued behind the one that runs. One hides the host's work; two hide its
// hiccups, and cost each sample two rows behind its stop.
constexpr size_t kAhead = 2;

Stepping resolved(Stepping stepping, Device device) {
  if (stepping != Stepping::automatic) return stepping;
  return device == Device::cpu ? Stepping::plain : Stepping::ahead;
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
      const SchedulerLimits& limits, const RunShape& shape, ExpertRecorder recorder)
      : requests(all),
        callbacks(calls),
        manager(shape.blocks, shape.block_size),
        scheduler(all, limits, manager),
        experts(std::move(recorder)) {}

  // A step under way.
  struct Flight {
    std::vector<PlannedDraw> draws;
    std::vector<RowOwner> owners;  // of its rows; empty unless experts are wanted
    int64_t prompt_rows = 0;
  };

  std::span<const RolloutRequest> requests;
  const RolloutCallbacks& callbacks;
  BlockManager manager;
  Scheduler scheduler;
  ExpertRecorder experts;
  std::deque<Flight> flights = {};
  RolloutOutput output = {};
  Clock::time_point start = Clock::now();
};

RolloutEngine::RolloutEngine(Context& ctx, const ModelWeights& weights, const ModelConfig& config,
                             const EngineLimits& limits)
    : ctx_(ctx),
      weights_(weights),
      config_(config),
      limits_(limits),
      runner_(ctx, weights, config,
              resolved(limits.stepping, ctx.device) == Stepping::ahead ? kAhead : 0) {
  require(limits.max_samples > 0 && limits.block_size > 0, "an engine needs room for a sample");
  require(limits.prompt_rows > 0 && limits.chunk_rows > 0, "an engine needs room for a prompt");
  limits_.max_rows = std::max(limits.max_rows, limits.max_samples);
  limits_.stepping = resolved(limits.stepping, ctx.device);
  const int64_t longest = config.max_position_embeddings;
  if (limits.max_length <= 0) limits_.max_length = longest;
  if (longest > 0) limits_.max_length = std::min(limits_.max_length, longest);
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
  const int64_t most = limits_.cache_bytes / bytes_of_blocks(1) - 1;  // one is the runner's
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

RunShape RolloutEngine::shape_of(std::span<const RolloutRequest> requests) const {
  const BlockManager sizes(1, limits_.block_size);
  RunShape shape{.blocks = std::max(blocks_wanted(requests), runner_.cache_blocks()),
                 .block_size = limits_.block_size,
                 .max_samples = limits_.max_samples,
                 .most_rows = limits_.max_rows};
  const bool moe = count_moe_layers(weights_) > 0;
  for (const RolloutRequest& r : requests) {
    const auto length = static_cast<int64_t>(r.prompt.size());
    shape.longest = std::max(shape.longest, sizes.blocks_for(length + r.max_new_tokens));
    shape.kept = shape.kept || (r.kept && r.sampling.filtered());
    shape.experts = shape.experts || (r.experts && moe);
    shape.entropy = shape.entropy || r.entropy;
  }
  shape.prompts_apart = limits_.stepping == Stepping::ahead;
  if (shape.prompts_apart) shape.most_rows = limits_.max_samples + limits_.prompt_rows;
  return shape;
}

RolloutOutput RolloutEngine::run(std::span<const RolloutRequest> requests,
                                 const RolloutCallbacks& callbacks) {
  for (size_t i = 0; i < requests.size(); ++i) check(requests[i], i);
  const RunShape shape = shape_of(requests);
  runner_.begin(shape);
  const SchedulerLimits limits{
      .max_samples = limits_.max_samples,
      .max_rows = shape.prompts_apart ? limits_.prompt_rows : limits_.max_rows,
      .prompts_apart = shape.prompts_apart,
      .chunk_rows = limits_.chunk_rows};
  Run run(requests, callbacks, limits, shape,
          {requests, count_moe_layers(weights_), config_.num_experts_per_tok});
  run.output.samples.resize(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto samples = static_cast<size_t>(std::max<int64_t>(requests[i].samples, 0));
    for (size_t s = 0; s < samples; ++s) {
      run.output.samples[i].push_back(empty_result(requests[i]));
    }
    run.output.stats.samples += static_cast<int64_t>(samples);
  }
  run.output.stats.blocks = run.manager.blocks();
  run.output.stats.cache_bytes = bytes_of_blocks(shape.blocks + 1);
  run_steps(run, shape.prompts_apart ? kAhead : 0);
  run.output.stats.seconds = seconds_since(run.start);
  run.output.stats.starved = runner_.starved();
  run.output.stats.recording = runner_.recording_seconds();
  run.experts.finish(run.output.samples);
  last_ = run.output.stats;
  return std::move(run.output);
}

void RolloutEngine::run_steps(Run& run, size_t ahead) {
  for (;;) {
    if (run.callbacks.interrupt != nullptr && run.callbacks.interrupt->requested()) {
      while (!run.flights.empty()) take_step(run);
      run.scheduler.cancel();
      return;
    }
    const StepPlan& plan = run.scheduler.next();
    const bool more = plan.rows() > 0 || !plan.draws.empty();
    if (!more && run.flights.empty()) return;
    if (more) {
      RolloutStats& stats = run.output.stats;
      stats.peak_running = std::max(stats.peak_running, run.scheduler.running());
      stats.peak_blocks = std::max(stats.peak_blocks, run.manager.used());
      run.flights.push_back({plan.draws,
                             run.experts.wanted() ? plan.owners : std::vector<RowOwner>{},
                             plan.prompt_rows});
      runner_.start(plan, run.requests);
    }
    const size_t stay = more ? ahead : 0;
    while (run.flights.size() > stay) take_step(run);
    reach_moment("rollout");
  }
}

// Waits for the oldest step and gives its draws to their samples.
void RolloutEngine::take_step(Run& run) {
  const Run::Flight flight = std::move(run.flights.front());
  run.flights.pop_front();
  const StepResult& step = runner_.fetch();
  take_experts(run, flight.owners, step);
  RolloutStats& stats = run.output.stats;
  stats.seconds = seconds_since(run.start);
  ++stats.steps;
  stats.prompt_tokens += flight.prompt_rows;
  for (size_t i = 0; i < flight.draws.size(); ++i) {
    const PlannedDraw& draw = flight.draws[i];
    const SampleResult& result = run.output.samples[draw.request][static_cast<size_t>(draw.sample)];
    // What a sample computed behind its stop is nobody's.
    if (result.finish == FinishReason::cancelled) take_draw(run, draw, step, i);
  }
  if (run.callbacks.on_step) run.callbacks.on_step(stats);
}

void RolloutEngine::take_experts(Run& run, std::span<const RowOwner> owners,
                                 const StepResult& step) {
  if (step.experts.empty()) return;
  const auto prompts = static_cast<size_t>(step.prompt_rows);
  const size_t decoded = owners.size() - prompts;
  const size_t of_prompts =
      step.experts.size() * prompts / (static_cast<size_t>(step.cache_rows) + prompts);
  run.experts.take(owners.first(decoded), step.experts.first(step.experts.size() - of_prompts),
                   step.cache_rows, run.output.samples);
  run.experts.take(owners.subspan(decoded), step.experts.last(of_prompts), step.prompt_rows,
                   run.output.samples);
}

void RolloutEngine::take_draw(Run& run, const PlannedDraw& draw, const StepResult& step, size_t i) {
  RolloutStats& stats = run.output.stats;
  const RolloutRequest& request = run.requests[draw.request];
  SampleResult& result = run.output.samples[draw.request][static_cast<size_t>(draw.sample)];
  const int32_t token = step.tokens[i];
  if (token < 0) {
    throw UserError({.what = "the model's logits are not finite",
                     .hint = "training diverged or the checkpoint is damaged: go back to an "
                             "earlier checkpoint, or lower the learning rate (f16 ends at 65504: "
                             "--dtype bf16 goes on)"});
  }
  const double* numbers = step.numbers.data() + i * kNumberColumns;
  ++stats.generated_tokens;
  if (result.ids.empty()) result.first_token_seconds = stats.seconds;
  result.ids.push_back(token);
  result.logprobs.push_back(numbers[0]);
  if (request.sampling.filtered()) result.sampled_logprobs.push_back(numbers[1]);
  if (request.entropy) result.entropies.push_back(numbers[2]);
  if (request.kept && request.sampling.filtered()) {
    const size_t words = step.kept.size() / step.tokens.size();
    result.kept.counts.push_back(
        static_cast<int32_t>(append_kept(step.kept.subspan(i * words, words), result.kept.ids)));
  }
  const TokenEvent event{.request = draw.request, .sample = draw.sample, .result = result};
  const auto& stops = request.stop_ids;
  bool stop = std::find(stops.begin(), stops.end(), token) != stops.end();
  if (run.callbacks.on_token && !run.callbacks.on_token(event)) stop = true;
  const bool full = static_cast<int64_t>(result.ids.size()) >= request.max_new_tokens;
  if (!stop && !full) return;
  if (!full) run.scheduler.stop(draw.request, draw.sample);
  result.finish = stop ? FinishReason::stop : FinishReason::length;
  result.seconds = stats.seconds;
  ++stats.finished;
  if (run.callbacks.on_finish) run.callbacks.on_finish(event);
}

}  // namespace temper
