// Completions are judged beside generation, which waits for none of them.
#include <atomic>
#include <chrono>
#include <thread>

#include "data/store_reader.h"
#include "data/tokenizer_export.h"
#include "rollout/record.h"
#include "rollout/sample_prompts.h"
#include "tests/support/catch.h"
#include "tests/support/small_models.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

using Clock = std::chrono::steady_clock;

// Shared with threads that may outlive the test.
struct Watch {
  std::atomic<int64_t> generated = 0, calls = 0;
  std::atomic<bool> overlapped = false, released = false;
};

// At its first call: waits until more tokens were generated, or without end if it is to hang.
class Waiting final : public RewardRule {
 public:
  Waiting(std::shared_ptr<Watch> watch, bool hangs) : watch_(std::move(watch)), hangs_(hangs) {}
  Verdict score(const RewardInput&) const override {
    if (watch_->calls++ == 0) {
      const int64_t before = watch_->generated;
      const auto end = Clock::now() + std::chrono::seconds(hangs_ ? 600 : 10);
      while (Clock::now() < end && !watch_->released) {
        if (!hangs_ && watch_->generated > before) {
          watch_->overlapped = true;
          break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
    return verdict_ok({});
  }
  std::vector<std::string> take_messages() const override { return {"look here"}; }

 private:
  std::shared_ptr<Watch> watch_;
  bool hangs_;
};

struct Run {
  explicit Run(bool hangs)
      : tokenizer((write_tiny_tokenizer(folder.path()), folder.path())), reward(make(hangs)) {
    config.vocab_size = tokenizer.vocab_size();
    weights = random_weights(config, DType::f32, 4);
    for (int i = 0; i < 3; ++i) {
      Prompt& prompt = prompts.emplace_back();
      prompt.id = "row:" + std::to_string(i);
      prompt.ids = tokenizer.encode("1+1=");
    }
  }
  ~Run() { watch->released = true; }

  CompositeReward make(bool hangs) {
    RewardRegistry registry;
    registry.add({"waiting", "waits", {}, [this, hangs](const RuleParameters&) {
                    return std::make_unique<Waiting>(watch, hangs);
                  }});
    return CompositeReward(parse_reward_spec("waiting", "test"), registry, "test");
  }

  JudgedSamples sample(double reward_timeout) {
    RolloutEngine engine(ctx, weights.view, config, {.max_samples = 2});  // they end in waves
    SampleJob job{.ctx = ctx,
                  .engine = engine,
                  .tokenizer = tokenizer,
                  .prompts = prompts,
                  .reward = &reward};
    job.options = {.samples = 4, .max_new_tokens = 16, .reward_timeout = reward_timeout};
    job.on_step = [this](const RolloutStats& stats) {
      watch->generated = stats.generated_tokens;
      if (stats.finished > 0) wait_for_judge();
    };
    return sample_prompts(job);
  }

  // The judge's thread may be slow to begin; a tiny model would be done by then.
  void wait_for_judge() const {
    const auto end = Clock::now() + std::chrono::seconds(10);
    while (watch->calls == 0 && Clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  std::shared_ptr<Watch> watch = std::make_shared<Watch>();
  TemporaryFolder folder;
  Tokenizer tokenizer;
  ModelConfig config = small_v3_config();
  OwnedWeights weights;
  Context ctx{2};
  std::vector<Prompt> prompts;
  CompositeReward reward;
};

}  // namespace

TEST_CASE("generation goes on while a completion is judged") {
  Run run(false);
  const JudgedSamples samples = run.sample(60.0);
  CHECK(run.watch->overlapped);
  CHECK(run.watch->calls == 12);
  for (const auto& group : samples.groups)
    for (const JudgedSample& sample : group) CHECK(sample.reward.value == 1.0);
}

TEST_CASE("a completion whose judging never ends is an error, and the others are judged") {
  Run run(true);
  const auto start = Clock::now();
  const JudgedSamples samples = run.sample(0.3);
  CHECK(std::chrono::duration<double>(Clock::now() - start).count() < 20.0);
  int judged = 0, errors = 0;
  for (const auto& group : samples.groups)
    for (const JudgedSample& sample : group) {
      judged += sample.reward.judged;
      errors += sample.reward.components[0].verdict.status == VerdictStatus::error;
    }
  CHECK(judged == 11);
  CHECK(errors == 1);
}

TEST_CASE("what a rule's helper wrote is in the run's events") {
  Run run(false);
  Store store(run.folder / "run");
  const int64_t id =
      store.begin_run({.kind = "grpo", .model = "m", .code_version = {}, .command_line = {}});
  record_reward_messages(store, {.run_id = id, .kind = "grpo", .step = 3}, run.reward);
  CHECK(store.database().value<std::string>(
            "SELECT text || json_extract(data, '$.rule') || step FROM events WHERE level = "
            "'warning'") == "look herewaiting3");
}
