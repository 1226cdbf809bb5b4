#include "rollout/scheduler.h"

#include <algorithm>
#include <deque>
#include <map>

#include "core/random.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

// A model whose cache holds the tokens themselves and whose "hidden state" is a hash of all tokens
// that a row can reach through its block table: it notices any token that is missing or misplaced.
struct ToyModel {
  std::vector<int32_t> cache;
  std::vector<uint64_t> kept;
  std::vector<int32_t> drawn;  // tokens of the last step
  int64_t block_size;

  ToyModel(const BlockManager& manager, const SchedulerLimits& limits)
      : cache(static_cast<size_t>(manager.blocks() * manager.block_size()), -1),
        kept(static_cast<size_t>(limits.max_samples)),
        block_size(manager.block_size()) {}

  static uint64_t mix(uint64_t hash, int32_t token) {
    return (hash ^ static_cast<uint64_t>(token + 1)) * 0x9E3779B97F4A7C15u + (hash >> 29);
  }
  std::vector<uint64_t> run(const StepPlan& plan) {
    const auto at = [&](int64_t slot) -> int32_t& { return cache[static_cast<size_t>(slot)]; };
    for (const BlockCopy& c : plan.copies) {
      for (int64_t o = 0; o < block_size; ++o)
        at(c.to * block_size + o) = at(c.from * block_size + o);
    }
    const auto rows = static_cast<size_t>(plan.rows());
    for (size_t n = 0; n < rows; ++n) {
      const int32_t id = plan.ids[n];
      at(plan.slots[n]) = id < 0 ? drawn.at(static_cast<size_t>(-1 - id)) : id;
    }
    std::vector<uint64_t> hidden(rows);
    for (size_t n = 0; n < rows; ++n) {
      REQUIRE(plan.context_length[n] == plan.positions[n] + 1);
      const BlockList& blocks = *plan.sequences[static_cast<size_t>(plan.row_sequence[n])];
      for (int32_t t = 0; t < plan.context_length[n]; ++t) {
        const int64_t block = blocks.blocks[static_cast<size_t>(t / block_size)];
        hidden[n] = mix(hidden[n], at(block * block_size + t % block_size));
      }
    }
    for (const auto& keep : plan.keeps) {
      kept[static_cast<size_t>(keep.keep)] = hidden[static_cast<size_t>(keep.row)];
    }
    return hidden;
  }
};

uint64_t hash_of(const std::vector<int32_t>& tokens) {
  uint64_t hash = 0;
  for (const int32_t t : tokens) hash = ToyModel::mix(hash, t);
  return hash;
}

int32_t toy_token(uint64_t hash, int64_t sample) {
  return static_cast<int32_t>((hash + static_cast<uint64_t>(sample) * 77777) % 50);
}

struct Outcome {
  std::map<std::pair<size_t, int64_t>, std::vector<int32_t>> completions;
  int64_t steps = 0, peak_running = 0, prompt_rows = 0;
};

// Prompts by a pass of their own: no more than there is room for, and only the first in pieces.
void check_prompts(const StepPlan& plan, const SchedulerLimits& limits) {
  REQUIRE(plan.prompt_rows <= limits.max_rows);
  const bool waited_for = 2 * plan.decoded() >= limits.max_samples;
  int64_t of_first = 0;
  for (auto n = static_cast<size_t>(plan.decoded()); n < plan.ids.size(); ++n)
    of_first += plan.row_sequence[n] == plan.row_sequence[static_cast<size_t>(plan.decoded())];
  if (waited_for) REQUIRE(of_first <= limits.chunk_rows);
  for (auto n = static_cast<size_t>(plan.decoded()); n < plan.ids.size(); ++n) {
    const bool begins = n == static_cast<size_t>(plan.decoded()) ||
                        plan.row_sequence[n] != plan.row_sequence[n - 1];
    if (begins && n > static_cast<size_t>(plan.decoded())) REQUIRE(plan.positions[n] == 0);
  }
}

// Token 0 stops a sample; the scheduler is told `late` steps behind. Checks every state against the
// tokens it must stand for.
Outcome run_all(const std::vector<RolloutRequest>& requests, const SchedulerLimits& limits,
                int64_t blocks, int64_t block_size, size_t late = 0) {
  BlockManager manager(blocks, block_size);
  ToyModel model(manager, limits);
  Scheduler scheduler(requests, limits, manager);
  Outcome outcome;
  std::deque<std::vector<PlannedDraw>> untold;  // draws of 0
  for (;; ++outcome.steps) {
    while (untold.size() > late) {
      for (const PlannedDraw& d : untold.front()) scheduler.stop(d.request, d.sample);
      untold.pop_front();
    }
    const StepPlan& plan = scheduler.next();
    if (plan.rows() == 0 && plan.draws.empty()) break;
    REQUIRE((limits.prompts_apart ? plan.decoded() : plan.rows()) <= limits.max_rows);
    if (limits.prompts_apart) check_prompts(plan, limits);
    REQUIRE(scheduler.running() <= limits.max_samples);
    outcome.peak_running = std::max(outcome.peak_running, scheduler.running());
    outcome.prompt_rows += plan.prompt_rows;
    const std::vector<uint64_t> hidden = model.run(plan);
    model.drawn.clear();
    untold.emplace_back();
    for (size_t i = 0; i < plan.draws.size(); ++i) {
      const PlannedDraw& d = plan.draws[i];
      REQUIRE((d.row < 0 || d.row == static_cast<int32_t>(i)));
      const uint64_t state =
          d.row >= 0 ? hidden[static_cast<size_t>(d.row)] : model.kept[static_cast<size_t>(d.keep)];
      std::vector<int32_t>& ids = outcome.completions[{d.request, d.sample}];
      REQUIRE(d.position == static_cast<int64_t>(ids.size()));
      std::vector<int32_t> all = requests[d.request].prompt;
      all.insert(all.end(), ids.begin(), ids.end());
      REQUIRE(state == hash_of(all));
      ids.push_back(toy_token(state, d.sample));
      model.drawn.push_back(ids.back());
      if (ids.back() == 0) untold.back().push_back(d);
    }
  }
  for (auto& [key, ids] : outcome.completions) {  // what lies behind a stop was drawn for nothing
    const auto stop = std::find(ids.begin(), ids.end(), 0);
    REQUIRE(ids.end() - stop <= static_cast<int64_t>(late) + 1);
    if (stop != ids.end()) ids.erase(stop + 1, ids.end());
  }
  CHECK(manager.used() == 0);
  CHECK(manager.available() == blocks);
  return outcome;
}

std::vector<RolloutRequest> random_requests(Random& random, uint32_t count) {
  std::vector<RolloutRequest> requests(count);
  for (RolloutRequest& r : requests) {
    const uint32_t length = 1 + random.below(20);
    for (uint32_t t = 0; t < length; ++t)
      r.prompt.push_back(static_cast<int32_t>(random.below(50)));
    r.samples = 1 + random.below(6);
    r.max_new_tokens = 1 + random.below(25);
  }
  return requests;
}

}  // namespace

TEST_CASE("every sample sees its own tokens and the same ones under any limits") {
  Random random(3, RandomStream::data);
  for (int round = 0; round < 12; ++round) {
    const std::vector<RolloutRequest> requests = random_requests(random, 7);
    const Outcome want = run_all(requests, {.max_samples = 1, .max_rows = 64}, 64, 4);
    size_t samples = 0;
    for (const RolloutRequest& r : requests) samples += static_cast<size_t>(r.samples);
    REQUIRE(want.completions.size() == samples);
    for (const SchedulerLimits limits : {SchedulerLimits{3, 3}, {3, 8}, {16, 16}, {16, 40}}) {
      for (const int64_t block_size : {1, 4, 7}) {
        const int64_t enough = 60 / block_size + 1;  // for one sample of 20 + 25 tokens
        for (const int64_t blocks : {enough, 3 * enough, 40 * enough}) {
          CHECK(run_all(requests, limits, blocks, block_size).completions == want.completions);
          for (const int64_t chunk : {2, 5, 50}) {
            SchedulerLimits apart = limits;
            apart.prompts_apart = true;
            apart.chunk_rows = chunk;
            CHECK(run_all(requests, apart, blocks, block_size, 2).completions == want.completions);
          }
        }
      }
    }
  }
}

TEST_CASE("samples of a group start together and a prompt is computed once") {
  std::vector<RolloutRequest> requests(2);
  for (RolloutRequest& r : requests) {
    r.prompt = {5, 6, 7, 8, 9, 10};
    r.samples = 4;
    r.max_new_tokens = 3;
  }
  requests[1].prompt[0] = 4;
  const Outcome outcome = run_all(requests, {.max_samples = 8, .max_rows = 16}, 64, 4);
  CHECK(outcome.prompt_rows == 12);
  CHECK(outcome.peak_running == 8);
  CHECK(outcome.steps <= 4);
}

TEST_CASE("a prompt that is longer than a step rides along in pieces") {
  std::vector<RolloutRequest> requests(2);
  requests[0].prompt = {1};
  requests[0].max_new_tokens = 20;
  for (int32_t t = 0; t < 23; ++t) requests[1].prompt.push_back(t % 50);
  requests[1].max_new_tokens = 2;
  const BlockManager sizes(1, 4);
  BlockManager manager(64, 4);
  Scheduler scheduler(
      requests, {.max_samples = 2, .max_rows = 8, .prompts_apart = true, .chunk_rows = 5}, manager);
  std::vector<int64_t> rows;
  for (;;) {
    const StepPlan& plan = scheduler.next();
    if (plan.rows() == 0 && plan.draws.empty()) break;
    if (plan.prompt_rows > 0) rows.push_back(plan.prompt_rows);
  }
  CHECK(rows == std::vector<int64_t>{1, 5, 5, 5, 5, 3});  // the first step has nothing to wait for
  CHECK(manager.used() == 0);
}

TEST_CASE("a short cache holds samples back instead of breaking them off") {
  std::vector<RolloutRequest> requests(1);
  requests[0].prompt = {1, 2, 3, 4, 5};
  requests[0].samples = 9;
  requests[0].max_new_tokens = 8;
  const BlockManager sizes(1, 4);
  const int64_t one = Scheduler::cost(sizes, requests[0], 1);
  const Outcome outcome = run_all(requests, {.max_samples = 16, .max_rows = 16}, one, 4);
  CHECK(outcome.peak_running == 1);
  CHECK(outcome.prompt_rows == 5);
  const int64_t three = Scheduler::cost(sizes, requests[0], 3);
  CHECK(run_all(requests, {.max_samples = 16, .max_rows = 16}, three, 4).peak_running == 3);
}

TEST_CASE("cancelling gives every block back") {
  Random random(9, RandomStream::data);
  const std::vector<RolloutRequest> requests = random_requests(random, 5);
  BlockManager manager(64, 4);
  Scheduler scheduler(requests, {.max_samples = 4, .max_rows = 8}, manager);
  for (int step = 0; step < 4; ++step) scheduler.next();
  CHECK(manager.used() > 0);
  scheduler.cancel();
  CHECK(manager.available() == 64);
  CHECK(scheduler.next().rows() == 0);
}
