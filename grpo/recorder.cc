#include "grpo/recorder.h"

#include <utility>

#include "core/stopwatch.h"
#include "grpo/record.h"

namespace temper {
namespace {

int64_t completion_tokens(const std::vector<GrpoGroup>& groups) {
  int64_t tokens = 0;
  for (const GrpoGroup& group : groups)
    for (const GrpoSample& s : group.samples) tokens += s.tokens();
  return tokens;
}

StepTotals totals_of(const StepOutcome& outcome, double wall_seconds) {
  return {.wall_seconds = wall_seconds,
          .trained_tokens = outcome.update.trained_tokens,
          .generated_tokens = completion_tokens(outcome.batch.groups),
          .weights_checksum = outcome.weights_checksum};
}

void write_rows(const GrpoJob& job, StepWriter& writer, const StepOutcome& outcome) {
  record_batch(job, writer, outcome.batch);
  record_metrics(job, writer, outcome);
}

StepKey key_of(const GrpoJob& job, const StepOutcome& outcome) {
  return {job.run_id, "grpo", outcome.batch.step};
}

}  // namespace

StepRecorder::~StepRecorder() {
  if (pending_.valid()) pending_.wait();
}

void StepRecorder::begin(StepOutcome outcome, double wall_seconds) {
  finish();
  outcome_ = std::make_unique<StepOutcome>(std::move(outcome));
  pending_ = std::async(std::launch::async, [this, wall_seconds] {
    StepWriter writer(job_.store, key_of(job_, *outcome_), outcome_->batch.policy_version);
    write_rows(job_, writer, *outcome_);
    writer.commit(totals_of(*outcome_, wall_seconds));
  });
}

void StepRecorder::record(const StepOutcome& outcome, double wall_seconds,
                          const std::function<void(StepWriter&)>& save) {
  finish();
  const Stopwatch watch;
  StepWriter writer(job_.store, key_of(job_, outcome), outcome.batch.policy_version);
  write_rows(job_, writer, outcome);
  waited_ += watch.seconds();
  save(writer);
  writer.commit(totals_of(outcome, wall_seconds));
}

void StepRecorder::finish() {
  if (!pending_.valid()) return;
  const Stopwatch watch;
  pending_.get();
  waited_ += watch.seconds();
}

double StepRecorder::take_waited() {
  return std::exchange(waited_, 0.0);
}

}  // namespace temper
