#include "grpo/failed_update.h"

#include <algorithm>
#include <cmath>

#include "core/json.h"

namespace temper {
namespace {

// A sample that the update was given.
struct Given {
  const GrpoGroup* group;
  const GrpoSample* sample;
  size_t index;
  double difference;  // the largest of rollout and trainer at a token; infinite if one is no number
};

double difference_of(const GrpoSample& s) {
  double most = 0.0;
  for (size_t t = 0; t < s.old.size(); ++t) {
    const double gap = std::abs(s.rollout.logprobs[t] - s.old[t]);
    most = std::isfinite(gap) ? std::max(most, gap) : HUGE_VAL;
  }
  return most;
}

std::vector<Given> samples_of(const std::vector<GrpoGroup>& groups) {
  std::vector<Given> given;
  for (const GrpoGroup& group : groups)
    if (group.used())
      for (size_t i = 0; i < group.samples.size(); ++i)
        given.push_back({&group, &group.samples[i], i, difference_of(group.samples[i])});
  std::stable_sort(given.begin(), given.end(),
                   [](const Given& a, const Given& b) { return a.difference > b.difference; });
  return given;
}

std::string json_of(const GrpoJob& job, const Given& g) {
  const std::string difference = std::isfinite(g.difference) ? option_text(g.difference) : "null";
  return "{\"prompt\":" + quote_json(job.prompts[g.group->prompt].id) +
         ",\"sample\":" + std::to_string(g.index) + ",\"reward\":" + option_text(g.sample->total) +
         ",\"advantage\":" + option_text(g.sample->advantage) +
         ",\"tokens\":" + std::to_string(g.sample->tokens()) +
         ",\"max_logprob_difference\":" + difference +
         ",\"completion\":" + quote_json(g.sample->text) + "}";
}

}  // namespace

StepError failed_update(const GrpoJob& job, const std::vector<GrpoGroup>& groups, int64_t step,
                        int64_t done, const UserError& error) {
  constexpr size_t kKept = 50;
  const std::vector<Given> given = samples_of(groups);
  std::string json;
  for (size_t i = 0; i < std::min(kKept, given.size()); ++i)
    json += (i == 0 ? "" : ",") + json_of(job, given[i]);
  Blame blame = error.blame();
  if (blame.where.empty()) blame.where = "step " + std::to_string(step);
  if (!blame.hint.empty()) blame.hint += "; ";
  blame.hint += "the event of this step in run.db has the samples";
  if (done > 0)
    blame.hint += "; " + std::to_string(done) +
                  " of the step's updates were made, so that the model of the step before is gone";
  return {blame, step, "{\"samples\":[" + json + "]}"};
}

}  // namespace temper
