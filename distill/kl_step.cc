// One micro-batch of logit distillation: both models' logits, chunk by chunk.
#include "core/device.h"
#include "distill/trainer.h"
#include "model/ops/embedding.h"

namespace temper {
namespace {

// Rows `begin` .. of the teacher's logits for the counted tokens: [C, V] in `scratch`.
Tensor teacher_logits(Context& ctx, const ModelWeights& teacher, Tensor hidden,
                      const HeadRows& rows, int64_t begin, int64_t n) {
  const Tensor chosen = ctx.scratch.tensor("distill.hidden", hidden.dtype, {n, hidden.cols()});
  embedding_forward(ctx, chosen, hidden, rows.rows.slice_rows(begin, n));  // [C, d]
  const Tensor logits =
      ctx.scratch.tensor("distill.logits", stat_dtype(hidden.dtype), {n, teacher.lm_head.dim(0)});
  lm_head_logits(ctx, logits, chosen, teacher.lm_head);
  return logits;
}

// The rows' KL, each written at its place; `logits` [C, V] become their gradient.
template <class T>
void rows_kl(Context& ctx, const KlParams& params, Tensor logits, Tensor teacher, double* kl) {
  const auto v = static_cast<size_t>(logits.cols());
  ctx.pool.parallel_for(logits.rows(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      kl[r] = kl_row(params.direction, std::span<T>(logits.row<T>(r), v),
                     std::span<const T>(teacher.row<T>(r), v), params.temperature,
                     1.0 / params.normaliser);
  });
}

}  // namespace

double accumulate_kl(Context& ctx, TrainStep& step, const ModelWeights& student,
                     const ModelWeights& teacher, const ModelConfig& teacher_config,
                     std::span<const TrainSequence> sequences, const KlParams& params) {
  double sum = 0.0;
  step.accumulate_head(sequences, [&](const HeadTask& task) {
    ArenaScope scope(ctx.scratch);
    const Tensor hidden = decoder_forward(ctx, ctx.scratch, nullptr, teacher, teacher_config,
                                          task.batch, {});  // [T, d of the teacher]
    std::vector<double> kl(static_cast<size_t>(task.rows.count()));
    lm_head_chunks(ctx, task.grads, task.hidden, student.lm_head, task.rows, {},
                   [&](Tensor logits, int64_t begin) {
                     const Tensor other =
                         teacher_logits(ctx, teacher, hidden, task.rows, begin, logits.rows());
                     dispatch_float(logits.dtype, [&]<class T>() {
                       rows_kl<T>(ctx, params, logits, other, kl.data() + begin);
                     });
                   });
    for (const double row : kl) sum += row / params.normaliser;  // in order: same bits always
  });
  return sum;
}

}  // namespace temper
