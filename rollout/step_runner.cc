#include "rollout/step_runner.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/device.h"
#include "core/error.h"
#include "core/stopwatch.h"
#include "model/layers/lm_head.h"
#include "model/ops/permute.h"
#include "model/ops/sample.h"

namespace temper {

namespace {

// Rows that a recorded step has room for: few different numbers, little more than is needed.
int64_t padded_rows(int64_t rows) {
  const int64_t unit = rows <= 8 ? 4 : rows <= 64 ? 8 : rows <= 256 ? 32 : 64;
  return (rows + unit - 1) / unit * unit;
}

}  // namespace

StepRunner::StepRunner(Context& ctx, const ModelWeights& weights, const ModelConfig& config,
                       size_t ahead)
    : ctx_(ctx),
      weights_(weights),
      config_(config),
      inputs_(ctx, ahead + 1),
      recorded_scratch_(ctx.device) {
  for (size_t i = 0; i <= ahead; ++i) slots_.push_back({{}, {}, {}, QueueMark(ctx.device)});
}

void StepRunner::begin(const RunShape& shape) {
  if (under_way() > 0) synchronize(ctx_);
  started_ = fetched_ = 0;
  starved_ = 0;
  recording_seconds_ = 0.0;
  make_room(shape);
  shape_ = shape;
  // All that a recording holds by value. What the same places hold may change.
  std::vector<const void*> places{cache_.storage.view.data, outputs_.view.data,
                                  weights_.embed_tokens.data, weights_.lm_head.data,
                                  weights_.norm.data};
  for (const BlockWeights& layer : weights_.layers) places.push_back(layer.input_layernorm.data);
  if (shape.entropy) places.push_back(nullptr);
  if (shape.experts) places.push_back(experts_.view.data);
  if (shape.kept) places.push_back(kept_tokens_.view.data);
  if (places == recorded_places_) return;
  recordings_.clear();
  recorded_places_ = std::move(places);
}

void StepRunner::make_room(const RunShape& shape) {
  const DType dtype = weights_.embed_tokens.dtype;
  const bool other_cache =
      shape.blocks + 1 > cache_.blocks || shape.block_size != cache_.block_size;
  const int64_t samples = padded_rows(std::max(shape.max_samples, shape_.max_samples));
  if (other_cache) {
    synchronize(ctx_);
    cache_ = {};  // the old one goes before the new one comes, which may get its address
    recordings_.clear();
    // One block more than asked for: rows that only fill up a recorded step write there.
    cache_ = allocate_kv_cache(config_, shape.blocks + 1, shape.block_size, dtype, ctx_.device);
  }
  if (kept_.view.empty() || kept_.view.rows() < samples) {
    kept_ = allocate(dtype, {samples, config_.hidden_size}, ctx_.device);
    const int64_t draws = 2 * samples, doubles = draws * kNumberColumns;
    outputs_ = allocate(DType::f64, {doubles + draws}, ctx_.device);
    double* numbers = static_cast<double*>(outputs_.view.data);
    numbers_ = make_tensor(numbers, DType::f64, {draws, kNumberColumns}, ctx_.device);
    tokens_ = make_tensor(numbers + doubles, DType::i32, {draws}, ctx_.device);
    for (Slot& slot : slots_) slot.output = HostBuffer(outputs_.buffer.bytes(), ctx_.device);
    recordings_.clear();
  }
  const int64_t sets = shape.kept ? numbers_.rows() : 0;
  if (sets > kept_tokens_.view.rows()) {
    kept_tokens_ = allocate(DType::i32, {sets, kept_words(config_.vocab_size)}, ctx_.device);
    for (Slot& slot : slots_) slot.kept = HostBuffer(kept_tokens_.buffer.bytes(), ctx_.device);
  }
  const int64_t unit = 64;
  const int64_t width = (std::max(shape.longest, table_width_) + 7) / 8 * 8;
  const int64_t rows = std::max(shape.most_rows, shape_.most_rows) + samples + unit;
  // A prompt in pieces sees all its tokens: a place each.
  const int64_t seen = 4 * std::max(shape.longest, table_width_) * shape.block_size;
  const int64_t bytes =
      44 * rows + seen + (2 * samples + unit) * (4 * width + 160) + (int64_t{1} << 14);
  const int64_t recorded = shape.experts ? count_moe_layers(weights_) * rows : 0;
  if (recorded > experts_.view.rows()) {
    experts_ = allocate(DType::i32, {recorded, config_.num_experts_per_tok}, ctx_.device);
    for (Slot& slot : slots_) slot.experts = HostBuffer(experts_.buffer.bytes(), ctx_.device);
  }
  if (inputs_.reserve(static_cast<size_t>(bytes)) || width != table_width_) recordings_.clear();
  table_width_ = width;
}

void StepRunner::start(const StepPlan& plan, std::span<const RolloutRequest> requests) {
  require(under_way() < static_cast<int64_t>(slots_.size()), "too many steps are under way");
  const bool apart = shape_.prompts_apart;
  const int64_t decoded = plan.decoded(), rows = apart ? decoded : plan.rows();
  inputs_.begin(started_ % slots_.size());
  slot().draws = static_cast<int64_t>(plan.draws.size());
  slot().result = {};
  // First those whose addresses recordings hold.
  Rows main = decode_inputs(plan, rows, apart ? padded_rows(rows) : rows);
  rows_.resize(static_cast<size_t>(decoded));
  std::iota(rows_.begin(), rows_.end(), 0);
  main.draws = draw_inputs(std::span(plan.draws).first(rows_.size()), requests, rows_,
                           apart ? padded_rows(decoded) : decoded);
  const Rows prompts = prompt_inputs(plan);
  const Starts starts = start_inputs(plan, requests);
  Tensor copies;
  if (!plan.copies.empty()) {
    copies = inputs_.tensor(DType::i32, {static_cast<int64_t>(plan.copies.size()), 2});
    int32_t* to = inputs_.on_host(copies).get<int32_t>();
    for (const BlockCopy& copy : plan.copies) *to++ = copy.from, *to++ = copy.to;
  }
  if (under_way() > 0 && ctx_.device != Device::cpu)
    starved_ += slots_[(started_ - 1) % slots_.size()].mark.reached();
  inputs_.send();
  if (!copies.empty()) copy_cache_blocks(ctx_, cache_, copies);
  run_step(plan, main, prompts, starts);
  queue_copy(ctx_, slot().output.data(), outputs_.view.data, outputs_.buffer.bytes());
  if (shape_.kept) {
    const Tensor sets = kept_tokens_.view.slice_rows(0, slot().draws);
    queue_copy(ctx_, slot().kept.data(), sets.data,
               static_cast<size_t>(sets.numel()) * sizeof(int32_t));
  }
  slot().cache_rows = main.batch.ids.numel();
  slot().prompt_rows = apart ? plan.prompt_rows : 0;
  if (shape_.experts) {
    const Tensor all = experts_of(0, slot().cache_rows + slot().prompt_rows);
    queue_copy(ctx_, slot().experts.data(), all.data,
               static_cast<size_t>(all.numel()) * sizeof(int32_t));
  }
  slot().mark.set(ctx_);
  ++started_;
}

void StepRunner::run_step(const StepPlan& plan, const Rows& rows, const Rows& prompts,
                          const Starts& starts) {
  ArenaScope scope(ctx_.scratch);
  const int64_t decoded = plan.decoded();
  Tensor hidden;
  if (shape_.prompts_apart) {
    if (decoded > 0) play_decode(rows);
    if (plan.prompt_rows > 0) hidden = prefill(prompts, rows.batch.ids.numel());
  } else if (plan.rows() > 0) {
    hidden = decode(rows);
    if (decoded > 0) draw(hidden.slice_rows(0, decoded), rows.draws, 0);
  }
  keep(plan, hidden, shape_.prompts_apart ? decoded : 0);
  if (starts.keeps.empty()) return;
  Tensor states = ctx_.scratch.tensor("rollout.states", kept_.view.dtype,
                                      {starts.keeps.numel(), config_.hidden_size});  // [u, d]
  gather_rows_forward(ctx_, states, kept_.view, starts.keeps);
  draw(states, starts.draws, decoded);
}

const StepResult& StepRunner::fetch() {
  require(under_way() > 0, "no step is under way");
  Slot& slot = slots_[fetched_++ % slots_.size()];
  slot.mark.wait();
  const double* numbers = static_cast<const double*>(slot.output.data());
  const auto* tokens = reinterpret_cast<const int32_t*>(numbers + numbers_.numel());
  const auto draws = static_cast<size_t>(slot.draws);
  slot.result.numbers = {numbers, draws * kNumberColumns};
  slot.result.tokens = {tokens, draws};
  if (shape_.kept)
    slot.result.kept = {static_cast<const int32_t*>(slot.kept.data()),
                        draws * static_cast<size_t>(kept_tokens_.view.cols())};
  slot.result.cache_rows = slot.cache_rows;
  slot.result.prompt_rows = slot.prompt_rows;
  const int64_t rows = shape_.experts ? slot.cache_rows + slot.prompt_rows : 0;
  slot.result.experts = {
      static_cast<const int32_t*>(slot.experts.data()),
      static_cast<size_t>(count_moe_layers(weights_) * rows * config_.num_experts_per_tok)};
  return slot.result;
}

StepRunner::Rows StepRunner::decode_inputs(const StepPlan& plan, int64_t rows, int64_t padded) {
  const auto count = static_cast<size_t>(rows);
  const auto column = [&](const std::vector<int32_t>& values, int64_t pad) {
    return inputs_.ints(std::span(values).first(count), padded, static_cast<int32_t>(pad));
  };
  // Rows that only fill up read and write the spare block and stand behind the sequences.
  const int64_t sequences =
      shape_.prompts_apart ? rows : static_cast<int64_t>(plan.sequences.size());
  const int64_t spare = cache_.blocks - 1, table_rows = std::max(sequences, padded);
  Rows out;
  out.batch = {.ids = column(plan.ids, 0),
               .positions = column(plan.positions, 0),
               .slots = column(plan.slots, spare * cache_.block_size),
               .rows = {.block_table = inputs_.tensor(DType::i32, {table_rows, table_width_}),
                        .row_sequence = column(plan.row_sequence, rows),
                        .context_length = column(plan.context_length, 1)}};
  const Tensor table = inputs_.on_host(out.batch.rows.block_table);
  for (int64_t s = 0; s < table_rows; ++s) {
    int32_t* row = table.row<int32_t>(s);
    std::fill(row, row + table_width_, static_cast<int32_t>(spare));
    if (s >= sequences) continue;
    const std::vector<int32_t>& blocks = plan.sequences[static_cast<size_t>(s)]->blocks;
    std::copy(blocks.begin(), blocks.end(), row);
  }
  return out;
}

// The prompts of a plan that has them apart, or their next pieces.
StepRunner::Rows StepRunner::prompt_inputs(const StepPlan& plan) {
  Rows out;
  if (!shape_.prompts_apart || plan.prompt_rows == 0) return out;
  const auto first = static_cast<size_t>(plan.decoded());
  const auto column = [&](const std::vector<int32_t>& values) {
    return inputs_.ints(std::span(values).subspan(first));
  };
  out.batch.ids = column(plan.ids);
  out.batch.positions = column(plan.positions);
  out.batch.slots = column(plan.slots);
  for (size_t n = first; n < plan.ids.size(); ++n)
    if (n == first || plan.row_sequence[n] != plan.row_sequence[n - 1])
      out.cu_seqlens.push_back(static_cast<int32_t>(n - first));
  out.cu_seqlens.push_back(static_cast<int32_t>(plan.prompt_rows));
  out.cu_seqlens_tensor = inputs_.ints(out.cu_seqlens);
  if (plan.positions[first] > 0) earlier_inputs(plan, out);  // only the first can be a later piece
  return out;
}

// Where all tokens lie that prompts see, a piece of one seeing the pieces before it.
void StepRunner::earlier_inputs(const StepPlan& plan, Rows& rows) {
  const int64_t first = plan.decoded();
  rows.cu_keys = {0};
  for (size_t s = 0; s + 1 < rows.cu_seqlens.size(); ++s) {
    const auto last = static_cast<size_t>(first + rows.cu_seqlens[s + 1] - 1);
    rows.cu_keys.push_back(rows.cu_keys.back() + plan.context_length[last]);
  }
  rows.earlier.slots = inputs_.tensor(DType::i32, {rows.cu_keys.back()});
  int32_t* to = inputs_.on_host(rows.earlier.slots).get<int32_t>();
  const auto block_size = static_cast<int32_t>(cache_.block_size);
  for (size_t s = 0; s + 1 < rows.cu_seqlens.size(); ++s) {
    const auto row = static_cast<size_t>(first + rows.cu_seqlens[s]);
    const auto sequence = static_cast<size_t>(plan.row_sequence[row]);
    const std::vector<int32_t>& blocks = plan.sequences[sequence]->blocks;
    for (int32_t t = 0; t < rows.cu_keys[s + 1] - rows.cu_keys[s]; ++t)
      *to++ = blocks[static_cast<size_t>(t / block_size)] * block_size + t % block_size;
  }
  rows.earlier.sequences.on_device = inputs_.ints(rows.cu_keys);
}

SampleDraws StepRunner::draw_inputs(std::span<const PlannedDraw> draws,
                                    std::span<const RolloutRequest> requests,
                                    std::span<const int32_t> rows, int64_t padded) {
  SampleDraws out{.row = inputs_.ints(rows, padded),
                  .uniform = inputs_.tensor(DType::f64, {padded}),
                  .rules = inputs_.tensor(DType::f64, {padded, kRuleColumns}),
                  .entropy = shape_.entropy};
  double* uniform = inputs_.on_host(out.uniform).get<double>();
  double* rule = inputs_.on_host(out.rules).get<double>();
  for (int64_t i = 0; i < padded; ++i, rule += kRuleColumns) {
    SamplingParams params;
    uniform[i] = 0.0;
    if (i < static_cast<int64_t>(draws.size())) {
      const PlannedDraw& draw = draws[static_cast<size_t>(i)];
      SampleKey key = requests[draw.request].key;
      key.sample += static_cast<uint32_t>(draw.sample);
      uniform[i] = sampling_uniform(key, static_cast<uint32_t>(draw.position));
      params = requests[draw.request].sampling;
    }
    rule[0] = params.temperature;
    rule[1] = static_cast<double>(params.top_k);
    rule[2] = params.top_p;
    rule[3] = params.min_p;
  }
  return out;
}

StepRunner::Starts StepRunner::start_inputs(const StepPlan& plan,
                                            std::span<const RolloutRequest> requests) {
  const auto draws = std::span(plan.draws).subspan(static_cast<size_t>(plan.decoded()));
  if (draws.empty()) return {};
  std::vector<int32_t> keeps;  // each state once
  rows_.clear();
  for (size_t i = 0; i < draws.size(); ++i) {
    if (i == 0 || draws[i].keep != draws[i - 1].keep) keeps.push_back(draws[i].keep);
    rows_.push_back(static_cast<int32_t>(keeps.size()) - 1);
  }
  return {inputs_.ints(keeps),
          draw_inputs(draws, requests, rows_, static_cast<int64_t>(draws.size()))};
}

// Hidden states [N, d] of the rows, whose cache entries are written.
Tensor StepRunner::decode(const Rows& rows) {
  DecodeBatch batch = rows.batch;
  follow_draws(ctx_, batch.ids, tokens_);
  if (shape_.experts) batch.experts = experts_of(0, batch.ids.numel());
  return decoder_decode(ctx_, ctx_.scratch, weights_, config_, batch, cache_);
}

Tensor StepRunner::experts_of(int64_t first, int64_t rows) {
  const int64_t layers = count_moe_layers(weights_);
  return experts_.view.slice_rows(layers * first, layers * rows);
}

// The decoded rows of a step with their draws, as a recording: one row a sequence, of whose past
// the newest token alone is the step's own, so that what is older may be read before the kernels
// in front have ended.
void StepRunner::play_decode(const Rows& rows) {
  std::swap(ctx_.scratch, recorded_scratch_);
  struct SwapBack {
    Arena &a, &b;
    ~SwapBack() { std::swap(a, b); }
  } swap_back{ctx_.scratch, recorded_scratch_};
  Recorded& step = recordings_[rows.batch.ids.numel()];
  const Stopwatch watch;
  step.recording.play(ctx_, [&] {
    ArenaScope scope(ctx_.scratch);
    draw(decode(rows), rows.draws, 0);
  });
  if (++step.plays <= 2 && ctx_.device != Device::cpu) recording_seconds_ += watch.seconds();
}

// Hidden states [T, d] of prompts apart, whose cache entries are written; behind `first_row` rows
// of the step.
Tensor StepRunner::prefill(const Rows& rows, int64_t first_row) {
  const TokenBatch batch{.cu_seqlens = rows.cu_seqlens,
                         .targets = {},
                         .ids = rows.batch.ids,
                         .positions = rows.batch.positions,
                         .cu_seqlens_tensor = rows.cu_seqlens_tensor};
  ForwardOptions options;
  options.cache = &cache_;
  options.slots = rows.batch.slots;
  options.earlier = rows.earlier;
  if (!rows.cu_keys.empty()) options.earlier.sequences.cu_seqlens = rows.cu_keys;
  if (shape_.experts) options.record = experts_of(first_row, rows.batch.ids.numel());
  return decoder_forward(ctx_, ctx_.scratch, nullptr, weights_, config_, batch, options);
}

// Keeps the states that samples start from, now or later.
void StepRunner::keep(const StepPlan& plan, Tensor hidden, int64_t first_row) {
  const size_t bytes = static_cast<size_t>(config_.hidden_size) * size_of(kept_.view.dtype);
  for (const StepPlan::Keep& keep : plan.keeps) {
    const Tensor from = hidden.slice_rows(keep.row - first_row, 1);
    const Tensor to = kept_.view.slice_rows(keep.keep, 1);
    copy_bytes(ctx_, to.data, ctx_.device, from.data, ctx_.device, bytes);
  }
}

// Draws from the logits of the states, as draws `first` and following of the step.
void StepRunner::draw(Tensor hidden, const SampleDraws& draws, int64_t first) {
  Tensor logits = ctx_.scratch.tensor("rollout.logits", stat_dtype(hidden.dtype),
                                      {hidden.rows(), weights_.lm_head.dim(0)});  // [M, V]
  lm_head_logits(ctx_, logits, hidden, weights_.lm_head);
  const int64_t count = draws.row.numel();
  sample(ctx_,
         {.token = tokens_.slice_rows(first, count),
          .numbers = numbers_.slice_rows(first, count),
          .kept = shape_.kept ? kept_tokens_.view.slice_rows(first, count) : Tensor{}},
         logits, draws);
}

}  // namespace temper
