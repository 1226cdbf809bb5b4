// Continuous batching: which tokens run in the next step. Knows requests, slots and blocks, but no
// model and no token's meaning.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "rollout/block_manager.h"
#include "rollout/request.h"

namespace temper {

struct SchedulerLimits {
  int64_t max_samples = 64;  // samples that are decoded in one step
  int64_t max_rows = 256;    // tokens of a step: one a running sample, the rest prompts' chunks
  // Prompts are computed beside what is decoded, by a pass of their own: at most max_rows tokens of
  // them a step, and of one alone at most chunk_rows where half of the samples or more are decoded,
  // which wait for it. One prompt alone is ever in pieces, the first in a step.
  bool prompts_apart = false;
  int64_t chunk_rows = 4096;
};

// A token to draw after the step: from the hidden state of row `row`, or, with row == -1, from the
// one kept in place `keep` when the prompt was computed.
struct PlannedDraw {
  size_t request = 0;
  int64_t sample = 0;
  int64_t position = 0;  // of the token in the completion
  int32_t row = 0;
  int32_t keep = 0;
};

// Whose token a row is: a sample's, or with sample == -1 the prompt's.
struct RowOwner {
  size_t request = 0;
  int64_t sample = -1;
};

// One step. Row n is token ids[n] of sequence sequences[row_sequence[n]]; ids[n] < 0 is the token
// that draw -1 - ids[n] of the step before gave. Decoded rows come first, draw i being row i's, and
// rows of prompts behind them.
struct StepPlan {
  std::vector<int32_t> ids, positions, slots, row_sequence, context_length;
  std::vector<const BlockList*> sequences;
  std::vector<RowOwner> owners;   // of each row
  std::vector<BlockCopy> copies;  // before anything is written
  struct Keep {
    int32_t row, keep;
  };
  std::vector<Keep> keeps;         // rows whose hidden state is kept for samples that start later
  std::vector<PlannedDraw> draws;  // those of one hidden state stand side by side

  int64_t prompt_rows = 0;  // of the rows, those of prompts
  int64_t rows() const { return static_cast<int64_t>(ids.size()); }
  int64_t decoded() const { return rows() - prompt_rows; }
};

// A prompt is computed once, in chunks that ride along with decode steps; its samples then share
// its blocks, starting at once or as others leave. A sample starts only when its worst case is
// reserved, so that none ever has to be thrown out; prompts and samples start in order. It plans
// without knowing what was drawn: a sample that the caller has not stopped goes on to its limit.
class Scheduler {
 public:
  // Every request must fit: cost(request) <= manager.blocks(). Both must outlive the scheduler.
  Scheduler(std::span<const RolloutRequest> requests, const SchedulerLimits& limits,
            BlockManager& manager);

  // The next step; valid until the next call of next(). Without rows and draws: all is done.
  const StepPlan& next();
  // The sample ends before its limit: it leaves the batch with the next plan. Nothing if it is not
  // in the batch any more.
  void stop(size_t request, int64_t sample);
  // Gives up everything that is not finished.
  void cancel();

  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  // Blocks that one prompt and `samples` samples of the request may need together.
  static int64_t cost(const BlockManager& manager, const RolloutRequest& request, int64_t samples);

 private:
  // A prompt in the cache, while samples of it are still to start.
  struct Group {
    size_t request = 0;
    BlockList blocks = {};  // blocks.length tokens of the prompt are computed
    int64_t started = 0;
    int32_t keep = 0;  // where its last hidden state is kept
    bool ready = false;
  };
  struct Running {
    size_t request = 0;
    int64_t sample = 0;
    BlockList blocks = {};
    int64_t drawn = 0;  // tokens
    int32_t draw = 0;   // that of the last plan
    bool stopped = false;
  };

  void plan_decode();
  void start_samples(Group& group);
  void plan_draw(Running& sample, int32_t row, int32_t keep);
  void start_groups();
  void plan_prompts();
  int64_t prompt_room(int64_t wanted) const;
  void drop_finished();
  void add_row(BlockList& blocks, int32_t token, RowOwner owner);
  bool done() const { return running_.empty() && groups_.empty() && next_ == requests_.size(); }
  int64_t sample_cost(const RolloutRequest& request) const;

  std::span<const RolloutRequest> requests_;
  SchedulerLimits limits_;
  BlockManager& manager_;
  size_t next_ = 0;  // the first request that has not started
  std::deque<Group> groups_;
  int64_t prompts_ = 0;  // groups that are not ready: each holds one sample's place
  std::vector<Running> running_;
  std::vector<int32_t> free_keeps_;
  StepPlan plan_;
};

}  // namespace temper
