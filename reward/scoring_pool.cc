#include "reward/scoring_pool.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "core/moment.h"
#include "core/options.h"

namespace temper {
namespace {

using Clock = std::chrono::steady_clock;

struct Slot {
  enum class Stage { queued, running, done };
  ScoringTask task;
  Stage stage = Stage::queued;
  std::unique_ptr<SampleClock> clock = {};
  size_t thread = 0;  // that judges it
  bool given_up = false;
  RewardResult result = {};
};

RewardInput input_of(const Slot& slot) {
  const ScoringTask& task = slot.task;
  return {.prompt = task.row->prompt,
          .completion = task.completion,
          .gold = task.row->gold,
          .row = &task.row->row,
          .completion_tokens = task.completion_tokens,
          .truncated = task.truncated,
          .clock = slot.clock.get()};
}

}  // namespace

struct ScoringPool::State {
  State(const CompositeReward& r, const ScoringLimits& l)
      : reward(r), limits(l), batch(r.batch_size()) {}

  const CompositeReward reward;  // a copy, for threads that outlive the run
  const ScoringLimits limits;
  const size_t batch;
  std::mutex mutex;
  std::condition_variable work_came, work_done;
  std::deque<Slot> slots;  // never shrinks: threads hold references
  size_t next = 0;         // the first slot that nobody took
  bool stop = false;
};

ScoringPool::ScoringPool(const CompositeReward& reward, const ScoringLimits& limits)
    : state_(std::make_shared<State>(reward, limits)) {
  for (int i = 0; i < std::max(1, limits.threads); ++i) start_thread();
}

ScoringPool::~ScoringPool() {
  {
    std::lock_guard lock(state_->mutex);
    state_->next = state_->slots.size();
  }
  wait_until_idle();
  {
    std::lock_guard lock(state_->mutex);
    state_->stop = true;
    state_->work_came.notify_all();
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ScoringPool::start_thread() {
  threads_.emplace_back(work, state_, threads_.size());
}

size_t ScoringPool::submit(ScoringTask task) {
  std::lock_guard lock(state_->mutex);
  state_->slots.push_back(
      {.task = std::move(task),
       .clock = std::make_unique<SampleClock>(state_->limits.patience_seconds)});
  state_->work_came.notify_one();
  return state_->slots.size() - 1;
}

void ScoringPool::work(std::shared_ptr<State> state, size_t thread) {
  std::unique_lock lock(state->mutex);
  for (;;) {
    state->work_came.wait(lock, [&] { return state->stop || state->next < state->slots.size(); });
    if (state->stop) return;
    std::vector<Slot*> taken;
    std::vector<RewardInput> inputs;
    while (taken.size() < state->batch && state->next < state->slots.size()) {
      Slot& slot = state->slots[state->next++];
      slot.stage = Slot::Stage::running;
      slot.clock->start();
      slot.thread = thread;
      inputs.push_back(input_of(slot));
      taken.push_back(&slot);
    }
    lock.unlock();
    reach_moment("scoring");
    std::vector<RewardResult> results = state->reward.score_batch(inputs);
    lock.lock();
    if (taken.front()->stage == Slot::Stage::done) return;  // given up on; replaced long ago
    for (size_t i = 0; i < taken.size(); ++i) {
      taken[i]->result = std::move(results[i]);
      taken[i]->stage = Slot::Stage::done;
    }
    state->work_done.notify_all();
  }
}

// Waits for all slots that were taken or can be; gives up on those that take too long.
void ScoringPool::wait_until_idle() {
  State& state = *state_;
  const auto patience = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(state.limits.patience_seconds));
  const std::string reason =
      "not judged within " + option_text(state.limits.patience_seconds) + " s";
  std::unique_lock lock(state.mutex);
  for (;;) {
    const auto now = Clock::now();
    auto look_again = now + patience;  // nothing that begins now can be given up on before
    bool busy = state.next < state.slots.size();
    for (Slot& slot : state.slots) {
      if (slot.stage != Slot::Stage::running) continue;
      const Clock::time_point end = slot.clock->end();
      if (now > end) {
        slot.result = state.reward.unjudged(reason);
        slot.stage = Slot::Stage::done;
        slot.given_up = true;
        if (threads_[slot.thread].joinable()) {  // the first of its batch
          threads_[slot.thread].detach();
          start_thread();
        }
      } else {
        busy = true;
        look_again = std::min(look_again, end);
      }
    }
    if (!busy) return;
    state.work_done.wait_until(lock, look_again + std::chrono::milliseconds(1));
  }
}

std::vector<RewardResult> ScoringPool::finish() {
  wait_until_idle();
  std::vector<RewardInput> inputs;
  std::vector<RewardResult> judged, results;
  {
    std::lock_guard lock(state_->mutex);
    for (Slot& slot : state_->slots) {
      if (slot.given_up) continue;
      inputs.push_back(input_of(slot));
      judged.push_back(std::move(slot.result));
    }
  }
  state_->reward.score_waiting(inputs, judged);
  auto next = judged.begin();
  std::lock_guard lock(state_->mutex);
  for (Slot& slot : state_->slots)
    results.push_back(slot.given_up ? std::move(slot.result) : std::move(*next++));
  return results;
}

}  // namespace temper
