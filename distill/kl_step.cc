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

}  // namespace

double accumulate_kl(Context& ctx, TrainStep& step, const ModelWeights& student,
                     const ModelWeights& teacher, const ModelConfig& teacher_config,
                     std::span<const TrainSequence> sequences, const KlParams& params) {
  double sum = 0.0;
  step.accumulate_head(sequences, [&](const HeadTask& task) {
    ArenaScope scope(ctx.scratch);
    const Tensor hidden = decoder_forward(ctx, ctx.scratch, nullptr, teacher, teacher_config,
                                          task.batch, {});  // [T, d of the teacher]
    const Tensor kl = ctx.scratch.tensor("distill.kl", DType::f64, {task.rows.count()});  // [R]
    lm_head_chunks(
        ctx, task.grads, task.hidden, student.lm_head, task.rows, {},
        [&](Tensor logits, int64_t begin) {
          const Tensor other =
              teacher_logits(ctx, teacher, hidden, task.rows, begin, logits.rows());
          row_kl(ctx, kl.slice_rows(begin, logits.rows()), logits, other,
                 {params.direction, params.temperature, step.loss_scale() / params.normaliser});
        });
    for (const double row : download_doubles(ctx, kl))
      sum += row / params.normaliser;  // in order: same bits always
  });
  return sum;
}

}  // namespace temper
