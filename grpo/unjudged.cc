#include "grpo/unjudged.h"

#include <algorithm>

#include "core/json.h"
#include "model/training/step_saver.h"
#include "reward/tally.h"

namespace temper {
namespace {

// A sample that could not be judged, and the component that says why.
struct Unjudged {
  const GrpoJob& job;
  const GrpoGroup& group;
  size_t sample;
  size_t component;

  const Verdict& verdict() const {
    return group.samples[sample].reward.components[component].verdict;
  }
  const std::string& prompt() const { return job.prompts[group.prompt].id; }
  std::string text() const {
    return prompt() + ", sample " + std::to_string(sample) + ": " + job.reward.name(component) +
           " " + std::string(name_of(verdict().status)) + ": " + verdict().reason;
  }
  std::string json() const {
    return "{\"prompt\":" + quote_json(prompt()) + ",\"sample\":" + std::to_string(sample) +
           ",\"rule\":" + quote_json(job.reward.name(component)) + ",\"status\":\"" +
           std::string(name_of(verdict().status)) +
           "\",\"reason\":" + quote_json(verdict().reason) +
           ",\"completion\":" + quote_json(group.samples[sample].text) + "}";
  }
};

std::vector<Unjudged> unjudged_of(const GrpoJob& job, const std::vector<GrpoGroup>& groups) {
  std::vector<Unjudged> found;
  for (const GrpoGroup& group : groups) {
    for (size_t s = 0; s < group.samples.size(); ++s) {
      const auto& components = group.samples[s].reward.components;
      const auto bad = std::find_if(components.begin(), components.end(), [](const auto& c) {
        return could_not_judge(c.verdict.status);
      });
      if (bad == components.end()) continue;
      found.push_back({job, group, s, static_cast<size_t>(bad - components.begin())});
    }
  }
  return found;
}

}  // namespace

void check_judged(const GrpoJob& job, const std::vector<GrpoGroup>& groups, int64_t step) {
  RewardTally tally(job.reward);
  for (const GrpoGroup& group : groups)
    for (const GrpoSample& sample : group.samples) tally.add(sample.reward);
  if (tally.unjudged_share() <= job.options.max_unjudged) return;
  constexpr size_t kShown = 5, kKept = 50;
  const std::vector<Unjudged> unjudged = unjudged_of(job, groups);
  std::string list, json;
  for (size_t i = 0; i < std::min(kKept, unjudged.size()); ++i) {
    if (i < kShown) list += "\n  " + unjudged[i].text();
    json += (i == 0 ? "" : ",") + unjudged[i].json();
  }
  throw StepError(
      {.what = "too many samples could not be judged",
       .where = "--reward",
       .expected = "at most " + option_text(job.options.max_unjudged) +
                   " of a step's samples (--max-unjudged)",
       .found = std::to_string(tally.unjudged()) + " of " + std::to_string(tally.samples()) +
                " in step " + std::to_string(step) + "; look at" + list + "\n" + tally.report(),
       .hint = "mend or remove these rows; the event of this step in run.db has the "
               "completions; `temper reward audit` tries a rule on all rows"},
      step, "{\"samples\":[" + json + "]}");
}

}  // namespace temper
