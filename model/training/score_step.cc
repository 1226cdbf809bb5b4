#include "model/training/score_step.h"

#include "core/device.h"
#include "model/training/sequence_scores.h"

namespace temper {
namespace {

// The numbers times `factor` as a tensor [S, 1] of the context's device.
Tensor as_tensor(Context& ctx, DType dtype, const std::vector<double>& numbers, double factor) {
  const OwnedTensor host = allocate(dtype, {static_cast<int64_t>(numbers.size()), 1});
  dispatch_float(dtype, [&]<class T>() {
    for (size_t s = 0; s < numbers.size(); ++s)
      host.view.get<T>()[s] = static_cast<T>(numbers[s] * factor);
  });
  return upload(ctx, ctx.scratch, "score.dscores", host.view);
}

}  // namespace

void accumulate_scores(Context& ctx, TrainStep& step, const ModelWeights& weights,
                       std::span<const std::vector<int32_t>> sequences, const ScoreLoss& loss) {
  require(!weights.score.empty(), "a model with a scalar head");
  std::vector<TrainSequence> train;
  for (const std::vector<int32_t>& ids : sequences) {
    TrainSequence& sequence = train.emplace_back(TrainSequence{ids, {}});
    sequence.mask.assign(ids.size(), 0);
    sequence.mask.back() = 1;
  }
  step.accumulate_head(train, [&](const HeadTask& task) {
    ArenaScope scope(ctx.scratch);
    const Tensor last = last_rows(ctx, ctx.scratch, task.batch);  // [S]
    const DType dtype = stat_dtype(task.hidden.dtype);
    const Tensor scores = ctx.scratch.tensor("score.scores", dtype, {last.numel(), 1});  // [S, 1]
    score_head_forward(ctx, scores, task.hidden, weights.score, last);
    SequenceScores numbers;
    numbers.score = download_doubles(ctx, scores);
    numbers.dscore.assign(numbers.score.size(), 0.0);
    loss(numbers);
    score_head_backward(ctx, {task.grads.dhidden, step.gradients().view.score},
                        as_tensor(ctx, dtype, numbers.dscore, step.loss_scale()), task.hidden,
                        weights.score, last);
  });
}

}  // namespace temper
