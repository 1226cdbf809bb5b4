#include "model/training/step_saver.h"

#include <algorithm>
#include <cmath>

namespace temper {

bool gives_numbers(TrainStep& train, const ModelWeights& weights, std::span<const int32_t> ids) {
  constexpr size_t kMost = 64;
  TrainSequence sequence;
  const std::span<const int32_t> part = ids.first(std::min(ids.size(), kMost));
  sequence.ids.assign(part.begin(), part.end());
  if (sequence.ids.empty()) return true;
  if (sequence.ids.size() == 1) sequence.ids.push_back(sequence.ids[0]);
  sequence.mask.assign(sequence.ids.size(), 1);
  const TokenLoss scored = train.score(weights, {&sequence, 1});
  return std::all_of(scored.logprob[0].begin(), scored.logprob[0].end(),
                     [](double x) { return std::isfinite(x); });
}

void StepSaver::save(StepWriter& writer) {
  if (!job_.enabled) return;
  const int64_t step = writer.key().step;
  if (!job_.sound()) {
    broken_ = step;
    return;
  }
  job_.save(writer, step);
  saved_ = step;
}

void StepSaver::check() const {
  if (broken_ == 0) return;
  throw in_step({.what = "the update broke the model: its log-probabilities are not finite; this "
                         "step is not saved",
                 .hint = "lower --learning-rate or raise --warmup-steps"},
                broken_);
}

void StepSaver::save_committed(int64_t step) {
  if (!job_.enabled || step <= saved_) return;
  StepWriter writer(job_.store, {job_.begun.run_id, job_.begun.kind, step}, StepWriter::Reopen{});
  save(writer);
  writer.commit_additions();
  check();
}

StepError StepSaver::in_step(Blame blame, int64_t step) {
  if (blame.where.empty()) blame.where = "step " + std::to_string(step);
  return {std::move(blame), step};
}

// The error that is on its way says more than one that comes of saving, which becomes an event.
void StepSaver::rescue(int64_t last, int64_t updates) {
  if (job_.train.optimizer().step != updates) return;
  try {
    save_committed(last);
  } catch (const std::exception& error) {
    try {
      job_.store.add_event(job_.begun.run_id, EventLevel::warning,
                           "step " + std::to_string(last) + " could not be saved: " + error.what(),
                           "{}", last);
    } catch (const std::exception&) {  // the database is out of reach
    }
  }
}

}  // namespace temper
