#include "grpo/totals.h"

#include "grpo/items.h"
#include "grpo/shaping.h"

namespace temper {

void set_totals(const GrpoJob& job, TrainStep& step, std::vector<GrpoGroup>& groups) {
  const GrpoOptions& o = job.options;
  if (o.kl_in_reward()) {
    const std::vector<TrainItem> items = items_of(job, groups);  // nothing is filtered yet
    score_items(job, step, items, job.weights.view, &GrpoSample::old);
    score_items(job, step, items, job.reference->view, &GrpoSample::reference);
  }
  for (GrpoGroup& group : groups) {
    if (!group.used()) continue;
    for (GrpoSample& s : group.samples) {
      s.total = s.reward.value;
      if (o.overlong_buffer > 0)
        s.total +=
            o.overlong_weight * overlong_penalty(s.tokens(), o.max_new_tokens, o.overlong_buffer);
      if (o.kl_in_reward()) s.total -= o.kl_coef * sequence_kl(o.kl_estimator, s.old, s.reference);
      s.filtered = o.overlong_filter && s.truncated();
    }
  }
}

}  // namespace temper
