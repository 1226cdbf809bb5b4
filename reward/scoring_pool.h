// Judging beside generation: completions go in as they are finished, verdicts come out at the end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "reward/composite.h"

namespace temper {

// What all completions of a prompt share.
struct ScoringRow {
  std::string prompt, gold;
  Json row;
};

// A completion to judge. It owns all that a rule may look at.
struct ScoringTask {
  std::shared_ptr<const ScoringRow> row;
  std::string completion;
  int64_t completion_tokens = -1;
  bool truncated = false;
};

struct ScoringLimits {
  int threads = 2;
  // A completion that has been judged for longer than this becomes an `error` of every component.
  // The last net under rules that keep limits of their own.
  double patience_seconds = 120.0;
};

// A few threads that judge what is submitted, in that order. Used by one thread.
class ScoringPool {
 public:
  ScoringPool(const CompositeReward& reward, const ScoringLimits& limits);
  // Forgets what has not begun and waits for the rest, `patience_seconds` at most.
  ~ScoringPool();
  ScoringPool(const ScoringPool&) = delete;
  ScoringPool& operator=(const ScoringPool&) = delete;

  // Never waits. Returns the place of the verdict in what finish() gives.
  size_t submit(ScoringTask task);

  // Waits until everything is judged or given up, lets the components that wait for the end of the
  // rollout judge what was not given up, and returns the results by place; once. A thread that was
  // given up on is left to itself and replaced.
  std::vector<RewardResult> finish();

 private:
  struct State;  // shared with the threads, which may outlive the pool
  static void work(std::shared_ptr<State> state, size_t thread);
  void start_thread();
  void wait_until_idle();

  std::shared_ptr<State> state_;
  std::vector<std::thread> threads_;  // those given up on are detached
};

}  // namespace temper
