#include "grpo/stored_step.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "grpo/gather.h"

namespace temper {
namespace {

std::string name_of(const SampleRow& row) {
  return "sample " + std::to_string(row.id) + " (step " + std::to_string(row.key.step) +
         ", group " + std::to_string(row.group_index) + "." + std::to_string(row.sample_index) +
         ")";
}

[[noreturn]] void not_kept(const std::string& where, const std::string& found) {
  throw UserError({.what = "the step cannot be replayed: not all of its rollout was kept",
                   .where = where,
                   .found = found,
                   .hint = "--log-tokens all keeps it; temper inspect events tells of a pruning"});
}

[[noreturn]] void changed(const SampleRow& row, const std::string& found) {
  throw UserError({.what = "the database has been changed: no run writes such a row",
                   .where = name_of(row),
                   .found = found});
}

FinishReason finish_of(const SampleRow& row) {
  for (const FinishReason reason :
       {FinishReason::stop, FinishReason::length, FinishReason::cancelled})
    if (row.finish_reason == temper::name_of(reason)) return reason;
  changed(row, "finish_reason " + row.finish_reason);
}

VerdictStatus status_of(const SampleRow& row, const RewardRow& reward) {
  for (uint8_t i = 0; i < kVerdictStatuses; ++i)
    if (reward.status == temper::name_of(static_cast<VerdictStatus>(i)))
      return static_cast<VerdictStatus>(i);
  changed(row, "the verdict " + reward.status);
}

// The verdicts of a sample, in the order of the reward's components, added up again.
RewardResult verdicts_of(Database& database, const SampleRow& row, const CompositeReward& reward) {
  const std::vector<RewardRow> rows = read_rewards(database, row.id);
  RewardResult result;
  for (size_t c = 0; c < reward.size(); ++c) {
    const auto of_rule = [&](const RewardRow& r) { return r.rule == reward.name(c); };
    const auto found = std::find_if(rows.begin(), rows.end(), of_rule);
    const bool asked_of_some = !reward.spec().components[c].row_field.empty();
    if (found == rows.end() && !asked_of_some)
      not_kept(name_of(row), "no verdict of " + reward.name(c));
    ComponentVerdict& part = result.components.emplace_back();
    part.weight = reward.spec().components[c].weight;
    part.verdict = verdict_not_asked();
    if (found == rows.end()) continue;
    part.weight = found->weight;
    part.counted = found->counted;
    const VerdictStatus status = status_of(row, *found);
    // A value that was not a number is NULL, as one that could not be judged is.
    part.verdict = {.value = found->value.value_or(was_judged(status) ? std::nan("") : 0.0),
                    .status = status,
                    .extracted = found->extracted.value_or(""),
                    .reason = found->reason.value_or(""),
                    .microseconds = found->microseconds};
  }
  reward.add_up(result);
  return result;
}

double metric(Database& database, const StepKey& key, const char* name) {
  return database
      .value<double>(
          "SELECT value FROM metrics WHERE run_id = ? AND kind = ? AND step = ? AND name = ?",
          key.run_id, key.kind, key.step, name)
      .value_or(0.0);
}

// Every group of the step with every sample.
void check_whole(Database& database, const StepKey& key, const std::vector<SampleRow>& rows,
                 const GrpoOptions& options) {
  const auto sampled = static_cast<int64_t>(metric(database, key, "groups/sampled"));
  const int64_t of_each = options.samples_per_prompt;
  const auto count = static_cast<int64_t>(rows.size());
  bool whole = count == sampled * of_each;
  for (int64_t i = 0; whole && i < count; ++i)
    whole = rows[static_cast<size_t>(i)].group_index == i / of_each;
  if (whole) return;
  not_kept("step " + std::to_string(key.step), std::to_string(count) + " of " +
                                                   std::to_string(sampled * of_each) +
                                                   " samples are in the database");
}

}  // namespace

StoredSteps::StoredSteps(Database& database, int64_t run_id)
    : database_(database), run_id_(run_id) {
  std::vector<int64_t> ids;
  database.for_each_row(
      "SELECT id FROM prompts WHERE run_id = ? ORDER BY id",
      [&](Statement& row) { ids.push_back(row.get<int64_t>(0)); }, run_id);
  for (const int64_t id : ids) {
    PromptRow row = *read_prompt(database, id);
    places_[id] = prompts_.size();
    prompts_.push_back({.id = std::move(row.key),
                        .messages = {},
                        .ids = std::move(row.ids),
                        .text = std::move(row.text),
                        .gold = row.reference.value_or(""),
                        .extra = std::move(row.data)});
  }
}

void StoredSteps::check_ids(const SampleRow& row, const Run& run) const {
  const auto outside = [&](int32_t id) { return id < 0 || id >= run.config.vocab_size; };
  const std::vector<int32_t>& prompt = prompts_[places_.at(row.prompt_id)].ids;
  if (std::any_of(row.ids.begin(), row.ids.end(), outside) ||
      std::any_of(row.kept_ids.begin(), row.kept_ids.end(), outside) ||
      std::any_of(prompt.begin(), prompt.end(), outside))
    changed(row, "a token id outside the vocabulary");
  int64_t kept = 0;
  for (const int32_t count : row.kept_counts) kept += count < 1 ? row.ids.size() + 1 : count;
  if (kept != static_cast<int64_t>(row.kept_ids.size()))
    changed(row, "kept_counts and kept_ids that do not fit each other");
  const auto no_expert = [&](uint16_t e) { return e >= run.config.n_routed_experts; };
  if (std::any_of(row.experts.begin(), row.experts.end(), no_expert))
    changed(row, "an expert that the model does not have");
}

GrpoSample StoredSteps::sample_of(const SampleRow& row, const Run& run) const {
  const size_t tokens = row.ids.size();
  if (row.rollout_logprobs.size() != tokens)
    row.rollout_logprobs.empty() ? not_kept(name_of(row), "no rollout_logprobs")
                                 : changed(row, "rollout_logprobs of another length than ids");
  if (!row.kept_counts.empty() && row.kept_counts.size() != tokens)
    changed(row, "kept_counts of another length than ids");
  check_ids(row, run);
  GrpoSample s;
  s.rollout.ids = row.ids;
  s.rollout.logprobs.assign(row.rollout_logprobs.begin(), row.rollout_logprobs.end());
  s.rollout.kept = {row.kept_counts, row.kept_ids};
  s.rollout.finish = finish_of(row);
  s.text = row.completion;
  s.reward = verdicts_of(database_, row, run.reward);
  s.total = s.reward.value;
  if (!replays_routing(run.options, run.config) || tokens == 0) return s;
  if (row.experts.empty()) not_kept(name_of(row), "no experts");
  s.rollout.experts = {row.experts, run.experts_per_token};
  const size_t computed = prompts_[places_.at(row.prompt_id)].ids.size() + tokens - 1;
  if (row.experts.size() != computed * static_cast<size_t>(run.experts_per_token))
    changed(row, "experts of another number of tokens");
  return s;
}

StepBatch StoredSteps::batch(int64_t step, const Run& run) const {
  const StepKey key{run_id_, "grpo", step};
  StepBatch batch;
  batch.step = step;
  batch.generations = static_cast<int64_t>(metric(database_, key, "groups/generations"));
  batch.prompts_drawn = static_cast<int64_t>(metric(database_, key, "groups/prompts_drawn"));
  batch.seconds = metric(database_, key, "seconds/rollout");
  const std::vector<SampleRow> rows = read_samples(database_, key);
  check_whole(database_, key, rows, run.options);
  for (const SampleRow& row : rows) {
    const auto place = places_.find(row.prompt_id);
    if (place == places_.end()) changed(row, "a prompt of another run");
    if (row.group_index >= static_cast<int64_t>(batch.groups.size()))
      batch.groups.emplace_back().prompt = place->second;
    GrpoGroup& group = batch.groups.back();
    batch.policy_version = row.policy_version;
    group.samples.push_back(sample_of(row, run));
    group.judged = group.judged && group.samples.back().reward.judged;
  }
  choose_groups(run.options, batch.groups);
  return batch;
}

}  // namespace temper
