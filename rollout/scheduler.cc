#include "rollout/scheduler.h"

#include <algorithm>

#include "core/error.h"

namespace temper {

namespace {

int64_t prompt_length(const RolloutRequest& request) {
  return static_cast<int64_t>(request.prompt.size());
}

// Tokens of a full-length sample that are ever in the cache: the last one drawn is never computed.
int64_t longest(const RolloutRequest& request) {
  return prompt_length(request) + request.max_new_tokens - 1;
}

}  // namespace

Scheduler::Scheduler(std::span<const RolloutRequest> requests, const SchedulerLimits& limits,
                     BlockManager& manager)
    : requests_(requests), limits_(limits), manager_(manager) {
  require(limits.max_samples > 0 &&
              (limits.prompts_apart ? limits.max_rows > 0 : limits.max_rows >= limits.max_samples),
          "a step has room for every running sample");
  const auto samples = static_cast<size_t>(limits.max_samples);
  const size_t rows = static_cast<size_t>(limits.max_rows) + (limits.prompts_apart ? samples : 0);
  for (auto* column :
       {&plan_.ids, &plan_.positions, &plan_.slots, &plan_.row_sequence, &plan_.context_length}) {
    column->reserve(rows);
  }
  plan_.sequences.reserve(2 * samples);
  plan_.owners.reserve(rows);
  plan_.copies.reserve(samples);
  plan_.keeps.reserve(samples);
  plan_.draws.reserve(samples);
  running_.reserve(samples);
  for (int64_t k = limits.max_samples; k-- > 0;) free_keeps_.push_back(static_cast<int32_t>(k));
}

int64_t Scheduler::sample_cost(const RolloutRequest& request) const {
  return manager_.private_blocks(prompt_length(request), longest(request));
}

int64_t Scheduler::cost(const BlockManager& manager, const RolloutRequest& request,
                        int64_t samples) {
  const int64_t prompt = prompt_length(request);
  return manager.blocks_for(prompt) + samples * manager.private_blocks(prompt, longest(request));
}

const StepPlan& Scheduler::next() {
  drop_finished();
  for (auto* column :
       {&plan_.ids, &plan_.positions, &plan_.slots, &plan_.row_sequence, &plan_.context_length}) {
    column->clear();
  }
  plan_.sequences.clear();
  plan_.owners.clear();
  plan_.copies.clear();
  plan_.keeps.clear();
  plan_.draws.clear();
  plan_.prompt_rows = 0;
  plan_decode();
  for (Group& group : groups_) {
    if (group.ready) start_samples(group);
  }
  start_groups();
  plan_prompts();
  require(done() || plan_.rows() > 0 || !plan_.draws.empty(), "the scheduler cannot go on");
  return plan_;
}

// One row a running sample: the token it drew last.
void Scheduler::plan_decode() {
  for (Running& sample : running_) {
    const int32_t last = sample.draw;
    plan_draw(sample, static_cast<int32_t>(plan_.rows()), 0);
    plan_.sequences.push_back(&sample.blocks);
    add_row(sample.blocks, -1 - last, {sample.request, sample.sample});
  }
}

void Scheduler::plan_draw(Running& sample, int32_t row, int32_t keep) {
  plan_.draws.push_back({.request = sample.request,
                         .sample = sample.sample,
                         .position = sample.drawn++,
                         .row = row,
                         .keep = keep});
  sample.draw = static_cast<int32_t>(plan_.draws.size()) - 1;
}

void Scheduler::add_row(BlockList& blocks, int32_t token, RowOwner owner) {
  plan_.owners.push_back(owner);
  plan_.ids.push_back(token);
  plan_.positions.push_back(static_cast<int32_t>(blocks.length));
  plan_.slots.push_back(manager_.append(blocks, plan_.copies));
  plan_.row_sequence.push_back(static_cast<int32_t>(plan_.sequences.size()) - 1);
  plan_.context_length.push_back(static_cast<int32_t>(blocks.length));
}

// Starts as many samples of the group as there are places and blocks; each draws its first token
// from the prompt's last hidden state. No row runs for them in this step.
void Scheduler::start_samples(Group& group) {
  const RolloutRequest& request = requests_[group.request];
  const int64_t blocks = sample_cost(request);
  while (group.started < request.samples && running() + prompts_ < limits_.max_samples) {
    Running sample{.request = group.request, .sample = group.started};
    if (group.started == 0) {
      manager_.transfer_reservation(group.blocks, sample.blocks, blocks);
    } else if (!manager_.reserve(sample.blocks, blocks)) {
      break;
    }
    sample.blocks.blocks.reserve(static_cast<size_t>(manager_.blocks_for(longest(request))));
    manager_.fork(group.blocks, sample.blocks);
    plan_draw(sample, -1, group.keep);
    running_.push_back(std::move(sample));
    ++group.started;
  }
}

// New prompts enter while there are places; but first all samples of older prompts get theirs.
void Scheduler::start_groups() {
  for (const Group& group : groups_) {
    if (group.ready && group.started < requests_[group.request].samples) return;
  }
  while (next_ < requests_.size() && running() + prompts_ < limits_.max_samples) {
    const RolloutRequest& request = requests_[next_];
    if (request.samples <= 0) {
      ++next_;
      continue;
    }
    Group group{.request = next_};
    if (!manager_.reserve(group.blocks, cost(manager_, request, 1))) return;
    group.keep = free_keeps_.back();
    free_keeps_.pop_back();
    groups_.push_back(std::move(group));
    ++prompts_;
    ++next_;
  }
}

// How many of a prompt's `wanted` rows the step has room for.
int64_t Scheduler::prompt_room(int64_t wanted) const {
  if (!limits_.prompts_apart) return std::min(wanted, limits_.max_rows - plan_.rows());
  const int64_t room = limits_.max_rows - plan_.prompt_rows;
  const bool waited_for = 2 * plan_.decoded() >= limits_.max_samples;
  const int64_t piece = waited_for ? std::min(limits_.chunk_rows, room) : room;
  if (wanted <= piece) return wanted;
  return plan_.prompt_rows == 0 ? piece : 0;
}

// Fills the rows that decoding left, or the prompts' own, with prompts, the oldest first.
void Scheduler::plan_prompts() {
  for (Group& group : groups_) {
    if (group.ready) continue;
    const std::vector<int32_t>& prompt = requests_[group.request].prompt;
    const int64_t left = static_cast<int64_t>(prompt.size()) - group.blocks.length;
    const int64_t rows = prompt_room(left);
    if (rows <= 0) return;
    plan_.sequences.push_back(&group.blocks);
    plan_.prompt_rows += rows;
    for (int64_t r = 0; r < rows; ++r) {
      add_row(group.blocks, prompt[static_cast<size_t>(group.blocks.length)], {group.request, -1});
    }
    if (rows < left) return;
    group.ready = true;
    --prompts_;
    plan_.keeps.push_back({static_cast<int32_t>(plan_.rows()) - 1, group.keep});
    start_samples(group);
  }
}

void Scheduler::stop(size_t request, int64_t sample) {
  for (Running& running : running_)
    running.stopped |= running.request == request && running.sample == sample;
}

// What the last step ended: samples, and prompts whose samples have all started.
void Scheduler::drop_finished() {
  std::erase_if(running_, [&](Running& sample) {
    const bool ends = sample.stopped || sample.drawn >= requests_[sample.request].max_new_tokens;
    if (ends) manager_.release(sample.blocks);
    return ends;
  });
  std::erase_if(groups_, [&](Group& group) {
    if (!group.ready || group.started < requests_[group.request].samples) return false;
    manager_.release(group.blocks);
    free_keeps_.push_back(group.keep);
    return true;
  });
}

void Scheduler::cancel() {
  for (Running& sample : running_) manager_.release(sample.blocks);
  for (Group& group : groups_) manager_.release(group.blocks);
  running_.clear();
  groups_.clear();
  next_ = requests_.size();
}

}  // namespace temper
