#include "rollout/score.h"

#include <cmath>
#include <string>

#include "core/device.h"
#include "core/error.h"
#include "model/batch.h"
#include "model/decoder.h"
#include "model/layers/lm_head.h"

namespace temper {

namespace {

void check_sequence(const ModelConfig& config, const std::vector<int32_t>& ids, size_t index) {
  const std::string where = "sequence " + std::to_string(index + 1);
  if (ids.empty()) throw UserError({.what = "a sequence has no tokens", .where = where});
  const auto length = static_cast<int64_t>(ids.size());
  if (config.max_position_embeddings > 0 && length > config.max_position_embeddings) {
    throw UserError({.what = "a sequence is longer than the model's context",
                     .where = where,
                     .expected = "at most " + std::to_string(config.max_position_embeddings),
                     .found = std::to_string(length) + " tokens"});
  }
  for (const int32_t id : ids) {
    if (id >= 0 && id < config.vocab_size) continue;
    throw UserError({.what = "a sequence holds an id that the model does not have",
                     .where = where,
                     .expected = "0 to " + std::to_string(config.vocab_size - 1),
                     .found = std::to_string(id)});
  }
}

double checked(double logprob, size_t sequence, size_t token) {
  if (std::isfinite(logprob)) return logprob;
  throw UserError(
      {.what = "the model's log-probabilities are not finite",
       .where = "sequence " + std::to_string(sequence + 1) + ", token " + std::to_string(token + 1),
       .hint = "training diverged or the checkpoint is damaged: take an earlier one "
               "(f16 ends at 65504, where --dtype bf16 goes on)"});
}

}  // namespace

std::vector<std::vector<double>> score_sequences(Context& ctx, const ModelWeights& weights,
                                                 const ModelConfig& config,
                                                 std::span<const std::vector<int32_t>> sequences,
                                                 const ScoreOptions& options) {
  for (size_t s = 0; s < sequences.size(); ++s) check_sequence(config, sequences[s], s);
  std::vector<std::vector<double>> logprobs(sequences.size());
  const DType dtype = stat_dtype(weights.embed_tokens.dtype);
  Arena activations(ctx.device);
  int64_t done = 0;
  for (size_t begin = 0, end; begin < sequences.size(); begin = end) {
    int64_t tokens = 0;
    for (end = begin; end < sequences.size(); ++end) {
      const auto more = static_cast<int64_t>(sequences[end].size());
      if (end > begin && tokens + more > options.batch_tokens) break;
      tokens += more;
    }
    ArenaScope scope(activations);
    const TokenBatch batch = make_batch(ctx, activations, sequences.subspan(begin, end - begin));
    const Tensor hidden = decoder_forward(ctx, activations, nullptr, weights, config, batch, {});
    const HeadRows rows = make_head_rows(ctx, activations, batch.targets);
    LogProbOutputs out;
    out.logprob = activations.tensor("score.logprob", dtype, {rows.count()});
    out.lse = activations.tensor("score.lse", dtype, {rows.count()});
    lm_head_forward(ctx, out, hidden, weights.lm_head, rows, {.temperature = options.temperature});
    // Every token but a sequence's first has a row.
    const std::vector<double> numbers = download_doubles(ctx, out.logprob);
    const double* next = numbers.data();
    for (size_t s = begin; s < end; ++s) {
      std::vector<double>& to = logprobs[s];
      to.assign(sequences[s].size(), 0.0);
      for (size_t t = 1; t < to.size(); ++t) to[t] = checked(*next++, s, t);
    }
    done += tokens;
    if (options.on_batch) options.on_batch(done);
  }
  return logprobs;
}

}  // namespace temper
