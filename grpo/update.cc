#include "grpo/update.h"

#include <algorithm>

#include "model/training/micro_batches.h"

namespace temper {
namespace {

// A sample with its prompt, as the trainer takes it.
struct Item {
  GrpoSample* sample;
  TrainSequence sequence;
  size_t prompt_tokens;
};

bool takes_part(const GrpoJob& job, const GrpoGroup& group) {
  const GrpoOptions& o = job.options;
  const bool other_terms =
      o.kl_coef > 0.0 || o.training.mtp_weight > 0.0 || o.training.balance_alpha > 0.0;
  return group.judged && (!group.zero_signal || other_terms);
}

std::vector<Item> items_of(const GrpoJob& job, std::vector<GrpoGroup>& groups) {
  std::vector<Item> items;
  for (GrpoGroup& group : groups) {
    if (!takes_part(job, group)) continue;
    const std::vector<int32_t>& prompt = job.prompts[group.prompt].ids;
    for (GrpoSample& sample : group.samples) {
      Item item{&sample, {}, prompt.size()};
      item.sequence.ids = prompt;
      const auto& ids = sample.rollout.ids;
      item.sequence.ids.insert(item.sequence.ids.end(), ids.begin(), ids.end());
      item.sequence.mask.assign(item.sequence.ids.size(), 0);
      std::fill(item.sequence.mask.begin() + static_cast<std::ptrdiff_t>(prompt.size()),
                item.sequence.mask.end(), uint8_t{1});
      items.push_back(std::move(item));
    }
  }
  return items;
}

// Calls body(items of a micro-batch, their sequences) for all items.
template <class Body>
void for_micro_batches(std::span<const Item> items, int64_t max_tokens, Body&& body) {
  std::vector<TrainSequence> sequences;
  for (const Item& item : items) sequences.push_back(item.sequence);
  for (const auto& bin : micro_batch_indices(sequences, max_tokens)) {
    std::vector<TrainSequence> part;
    std::vector<const Item*> chosen;
    for (size_t index : bin) {
      part.push_back(sequences[index]);
      chosen.push_back(&items[index]);
    }
    body(chosen, part);
  }
}

std::vector<double> completion_part(const std::vector<double>& tokens, const Item& item) {
  return {tokens.begin() + static_cast<std::ptrdiff_t>(item.prompt_tokens), tokens.end()};
}

void score_items(const GrpoJob& job, TrainStep& step, std::span<const Item> items,
                 const ModelWeights& weights, std::vector<double> GrpoSample::*field) {
  for_micro_batches(
      items, job.micro_batch_tokens,
      [&](const std::vector<const Item*>& chosen, const std::vector<TrainSequence>& part) {
        const TokenLoss scored = step.score(weights, part);
        for (size_t s = 0; s < chosen.size(); ++s)
          chosen[s]->sample->*field = completion_part(scored.logprob[s], *chosen[s]);
      });
}

// The loss of one micro-batch: each sequence weighs 1 / (judged samples * its tokens).
void accumulate_loss(TokenLoss& tokens, const std::vector<const Item*>& chosen, double samples,
                     const GrpoLossParams& params, UpdateReport& report, GrpoTokenSums& totals) {
  for (size_t s = 0; s < chosen.size(); ++s) {
    const Item& item = *chosen[s];
    const std::vector<double> logprob = completion_part(tokens.logprob[s], item);
    if (item.sample->old.empty()) item.sample->old = logprob;  // the step's only update
    const std::span<double> dlogprob = std::span(tokens.dlogprob[s]).subspan(item.prompt_tokens);
    const double length = static_cast<double>(logprob.size());
    const GrpoTokenSums sums = grpo_sequence_loss(
        dlogprob, {logprob, item.sample->old, item.sample->reference, item.sample->advantage},
        1.0 / (samples * length), params);
    totals.loss += sums.loss;
    totals.kl += sums.kl;
    totals.clipped_low += sums.clipped_low;
    totals.clipped_high += sums.clipped_high;
    totals.ratio_sum += sums.ratio_sum;
    totals.ratio_max = std::max(totals.ratio_max, sums.ratio_max);
    for (double entropy : completion_part(tokens.entropy[s], item)) report.entropy += entropy;
    report.trained_tokens += static_cast<int64_t>(logprob.size());
  }
}

void finish_report(UpdateReport& report, const GrpoTokenSums& totals) {
  const double tokens = static_cast<double>(std::max<int64_t>(1, report.trained_tokens));
  report.loss = totals.loss / static_cast<double>(std::max<int64_t>(1, report.updates));
  report.kl = totals.kl / tokens;
  report.entropy /= tokens;
  report.clip_fraction_low = totals.clipped_low / tokens;
  report.clip_fraction_high = totals.clipped_high / tokens;
  report.ratio_mean = report.trained_tokens > 0 ? totals.ratio_sum / tokens : 1.0;
  report.ratio_max = totals.ratio_max;
}

int64_t judged_samples(const std::vector<GrpoGroup>& groups) {
  int64_t count = 0;
  for (const GrpoGroup& group : groups)
    if (group.judged) count += static_cast<int64_t>(group.samples.size());
  return count;
}

}  // namespace

UpdateReport update_policy(const GrpoJob& job, TrainStep& step, std::vector<GrpoGroup>& groups,
                           int64_t step_index) {
  const GrpoOptions& o = job.options;
  const GrpoLossParams params{o.clip_low, o.clip_high, 0.0, o.kl_coef};
  const std::vector<Item> items = items_of(job, groups);
  const int64_t updates = o.mini_batches * o.inner_epochs;
  const Schedule schedule = schedule_of(o.training, o.steps * updates);
  UpdateReport report;
  GrpoTokenSums totals;
  // One update on fresh samples is on-policy: its own forward gives the old log-probabilities.
  if (updates > 1) score_items(job, step, items, job.weights.view, &GrpoSample::old);
  if (o.kl_coef > 0.0) score_items(job, step, items, *job.reference, &GrpoSample::reference);

  const size_t n = items.size();
  const size_t parts = static_cast<size_t>(o.mini_batches);
  // Samples left out for want of signal count in the mean all the same.
  const double samples_of_update =
      static_cast<double>(judged_samples(groups)) / static_cast<double>(parts);
  for (int64_t epoch = 0; epoch < o.inner_epochs; ++epoch)
    for (size_t p = 0; p < parts; ++p) {
      const auto begin = n * p / parts, end = n * (p + 1) / parts;
      const std::span<const Item> batch(items.data() + begin, end - begin);
      if (batch.empty()) continue;
      std::vector<TrainSequence> sequences;
      for (const Item& item : batch) sequences.push_back(item.sequence);
      step.begin(count_global(sequences, static_cast<int64_t>(job.weights.view.mtp.size())));
      for_micro_batches(
          batch, job.micro_batch_tokens,
          [&](const std::vector<const Item*>& chosen, const std::vector<TrainSequence>& part) {
            step.accumulate(part, [&](TokenLoss& tokens) {
              accumulate_loss(tokens, chosen, samples_of_update, params, report, totals);
            });
          });
      report.last =
          step.finish(learning_rate(schedule, (step_index - 1) * updates + report.updates));
      ++report.updates;
    }
  report.trained_samples = static_cast<int64_t>(n);
  finish_report(report, totals);
  return report;
}

}  // namespace temper
