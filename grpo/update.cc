#include "grpo/update.h"

#include <algorithm>
#include <cmath>

#include "core/stopwatch.h"
#include "data/packing.h"
#include "grpo/items.h"

namespace temper {
namespace {

bool has_gradient(const GrpoOptions& o, const GrpoSample& s) {
  const bool other_terms = o.kl_in_loss() || o.entropy_coef > 0.0 || o.training.mtp_weight > 0.0 ||
                           o.training.balance_alpha > 0.0;
  const auto any = [](const std::vector<double>& values) {
    return std::any_of(values.begin(), values.end(), [](double x) { return x != 0.0; });
  };
  return other_terms || (s.token_advantages.empty() ? s.advantage != 0.0 : any(s.token_advantages));
}

// Every token's weight, from counts of the whole mini-batch.
void set_weights(const GrpoOptions& o, std::span<TrainItem> batch) {
  std::vector<LossSequence> sequences;
  for (const TrainItem& item : batch)
    sequences.push_back({static_cast<int64_t>(item.group), item.sample->tokens()});
  const auto length = static_cast<double>(o.loss_length > 0 ? o.loss_length : o.max_new_tokens);
  const std::vector<double> weights = sequence_weights(o.aggregation, sequences, length);
  for (size_t i = 0; i < batch.size(); ++i) batch[i].weight = weights[i];
}

// The mini-batches of one pass over the rollout, weighed; samples without gradient are then gone.
std::vector<std::vector<TrainItem>> mini_batches(const GrpoOptions& o,
                                                 const std::vector<TrainItem>& items,
                                                 int64_t pass) {
  std::vector<TrainItem> dealt = items;
  if (o.shuffle_mini_batches) {
    const std::vector<int64_t> order = shuffled_order(static_cast<int64_t>(items.size()),
                                                      static_cast<uint64_t>(o.training.seed), pass);
    for (size_t i = 0; i < items.size(); ++i) dealt[i] = items[static_cast<size_t>(order[i])];
  }
  const auto parts = static_cast<size_t>(o.mini_batches);
  std::vector<std::vector<TrainItem>> out;
  for (size_t p = 0; p < parts; ++p) {
    const auto at = [&](size_t part) {
      return dealt.begin() + static_cast<std::ptrdiff_t>(dealt.size() * part / parts);
    };
    std::vector<TrainItem>& batch = out.emplace_back(at(p), at(p + 1));
    set_weights(o, batch);
    std::erase_if(batch, [&](const TrainItem& i) { return !has_gradient(o, *i.sample); });
  }
  return out;
}

// The loss of one micro-batch.
void add_loss(TokenLoss& tokens, const std::vector<const TrainItem*>& items,
              const GrpoLossParams& params, UpdateReport& report) {
  const bool entropy_gradient = params.entropy_coef != 0.0;
  if (entropy_gradient)
    for (const auto& row : tokens.dlogprob) tokens.dentropy.emplace_back(row.size(), 0.0);
  for (size_t s = 0; s < items.size(); ++s) {
    const TrainItem& item = *items[s];
    GrpoSample& sample = *item.sample;
    const std::vector<double> logprob = completion_part(tokens.logprob[s], item);
    const std::vector<double> entropy = completion_part(tokens.entropy[s], item);
    if (sample.old.empty()) sample.old = logprob;  // the step's only update
    if (sample.entropy.empty()) sample.entropy = entropy;
    sample.clips.resize(logprob.size());
    GrpoGradient gradient{std::span(tokens.dlogprob[s]).subspan(item.prompt_tokens())};
    gradient.clips = sample.clips;
    if (entropy_gradient)
      gradient.dentropy = std::span(tokens.dentropy[s]).subspan(item.prompt_tokens());
    report.sums += grpo_sequence_loss(gradient,
                                      {.logprob = logprob,
                                       .old = sample.old,
                                       .reference = sample.reference,
                                       .advantage = sample.advantage,
                                       .token_advantages = sample.token_advantages,
                                       .rollout = sample.rollout.logprobs,
                                       .entropy = entropy},
                                      item.weight, params);
    for (double x : logprob) report.prob_sum += std::exp(x);
    report.trained_tokens += static_cast<int64_t>(logprob.size());
  }
}

void run_update(const GrpoJob& job, TrainStep& step, std::span<const TrainItem> batch, double lr,
                UpdateReport& report) {
  const GrpoLossParams params = loss_params(job.options);
  step.begin(count_global(sequences_of(batch), static_cast<int64_t>(job.weights.view.mtp.size())));
  for_micro_batches(
      batch, job.micro_batch_tokens,
      [&](const std::vector<const TrainItem*>& items, const std::vector<TrainSequence>& part) {
        step.accumulate(part, [&](TokenLoss& tokens) { add_loss(tokens, items, params, report); });
        ++report.micro_batches;
      });
  report.last = step.finish(lr);
  report.packed_tokens += report.last.tokens;
  report.replayed_tokens += report.last.replayed_tokens;
  report.differing_tokens += report.last.differing_tokens;
  report.differing_experts += report.last.differing_experts;
  report.grad_norm_max = std::max(report.grad_norm_max, report.last.grad_norm);
  ++report.updates;
}

}  // namespace

double UpdateReport::token_mean(double sum) const {
  return trained_tokens > 0 ? sum / static_cast<double>(trained_tokens) : std::nan("");
}
double UpdateReport::update_mean(double sum) const {
  return updates > 0 ? sum / static_cast<double>(updates) : 0.0;
}

UpdateReport update_policy(const GrpoJob& job, TrainStep& step, std::vector<GrpoGroup>& groups,
                           int64_t step_index) {
  const GrpoOptions& o = job.options;
  const int64_t planned = o.mini_batches * o.inner_epochs;
  const Schedule schedule = schedule_of(o.training, o.steps * planned);
  const std::vector<TrainItem> items = items_of(job, groups);
  std::vector<TrainItem> trained = items;
  std::erase_if(trained, [&](const TrainItem& i) { return !has_gradient(o, *i.sample); });
  // One update on the whole rollout: its own forward gives the old log-probabilities.
  const Stopwatch scoring;
  if (planned > 1) score_items(job, step, trained, job.weights.view, &GrpoSample::old);
  if (o.kl_in_loss()) score_items(job, step, trained, job.reference->view, &GrpoSample::reference);

  UpdateReport report;
  report.scoring_seconds = scoring.seconds();
  report.trained_samples = static_cast<int64_t>(trained.size());
  int64_t index = (step_index - 1) * planned;  // of the update in the run
  for (int64_t epoch = 0; epoch < o.inner_epochs; ++epoch)
    for (const auto& batch : mini_batches(o, items, (step_index - 1) * o.inner_epochs + epoch)) {
      const double lr = learning_rate(schedule, index++);
      if (batch.empty()) ++report.skipped;
      if (!batch.empty()) run_update(job, step, batch, lr, report);
    }
  if (report.updates > 0) report.update_norm = update_norm(job.ctx, step.optimizer());
  return report;
}

}  // namespace temper
