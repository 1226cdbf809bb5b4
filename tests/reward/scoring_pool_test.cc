#include "reward/scoring_pool.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/support/catch.h"

using namespace temper;

namespace {

// Waits where the completion says so, else answers with its length.
class Slow final : public RewardRule {
 public:
  Slow(std::shared_ptr<std::atomic<bool>> released, std::shared_ptr<std::atomic<int>> largest_batch)
      : released_(std::move(released)), largest_batch_(std::move(largest_batch)) {}
  Verdict score(const RewardInput& input) const override {
    if (input.completion == "hang") {
      while (!*released_) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    if (input.completion == "throw") throw std::runtime_error("broken");
    Verdict verdict = verdict_ok(std::string(input.gold));
    verdict.value = static_cast<double>(input.completion.size());
    return verdict;
  }
  size_t batch_size() const override { return largest_batch_ ? 4 : 1; }
  std::vector<Verdict> score_batch(std::span<const RewardInput> inputs) const override {
    *largest_batch_ = std::max(largest_batch_->load(), static_cast<int>(inputs.size()));
    return RewardRule::score_batch(inputs);
  }

 private:
  std::shared_ptr<std::atomic<bool>> released_;
  std::shared_ptr<std::atomic<int>> largest_batch_;
};

struct Fixture {
  std::shared_ptr<std::atomic<bool>> released = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<std::atomic<int>> largest_batch = {};
  std::shared_ptr<const ScoringRow> row =
      std::make_shared<const ScoringRow>(ScoringRow{"prompt", "gold", parse_json("{}", "test")});

  CompositeReward reward() const {
    RewardRegistry registry;
    registry.add({"slow", "slow", {}, [this](const RuleParameters&) {
                    return std::make_unique<Slow>(released, largest_batch);
                  }});
    return CompositeReward(parse_reward_spec("slow=2", "test"), registry, "test");
  }
  ScoringTask task(const std::string& text) const { return {row, text, 1, false}; }
  ~Fixture() { *released = true; }
};

}  // namespace

TEST_CASE("a scoring pool gives each completion its own verdict, in order") {
  const Fixture f;
  ScoringPool pool(f.reward(), {.threads = 3});
  for (size_t i = 0; i < 100; ++i) CHECK(pool.submit(f.task(std::string(i, 'a'))) == i);
  const auto results = pool.finish();
  REQUIRE(results.size() == 100);
  for (size_t i = 0; i < 100; ++i) CHECK(results[i].value == 2.0 * static_cast<double>(i));
  CHECK(results[7].components[0].verdict.extracted == "gold");
}

TEST_CASE("submitting waits for no verdict") {
  const Fixture f;
  ScoringPool pool(f.reward(), {.threads = 1, .patience_seconds = 3600.0});
  pool.submit(f.task("hang"));
  // The one thread hangs until it is released below: had one of these waited, this would not end.
  for (int i = 0; i < 50; ++i) pool.submit(f.task("abc"));
  *f.released = true;
  for (const RewardResult& result : pool.finish()) CHECK(result.judged);
}

TEST_CASE("one slow sample stops nothing") {
  const Fixture f;  // the slow one is released behind the test's end alone
  ScoringPool pool(f.reward(), {.threads = 1, .patience_seconds = 0.2});
  pool.submit(f.task("hang"));
  for (int i = 0; i < 50; ++i) pool.submit(f.task("abc"));
  const auto results = pool.finish();
  REQUIRE(results.size() == 51);
  CHECK_FALSE(results[0].judged);  // never a silent 0
  CHECK(results[0].components[0].verdict.status == VerdictStatus::error);
  CHECK(results[0].components[0].verdict.reason == "not judged within 0.2 s");
  for (size_t i = 1; i < results.size(); ++i) CHECK(results[i].value == 6.0);
}

TEST_CASE("a scoring pool that is dropped leaves no thread that it can end, and waits for none") {
  const Fixture f;
  {
    ScoringPool pool(f.reward(), {.threads = 2, .patience_seconds = 0.1});
    for (int i = 0; i < 10; ++i) pool.submit(f.task("hang"));
  }
  CHECK_FALSE(*f.released);  // they hang still
}

TEST_CASE("a rule that takes batches gets batches, and an exception is an error") {
  Fixture f;
  f.largest_batch = std::make_shared<std::atomic<int>>(0);
  {
    ScoringPool pool(f.reward(), {.threads = 1});
    for (int i = 0; i < 100; ++i) pool.submit(f.task("ab"));
    for (const RewardResult& result : pool.finish()) CHECK(result.value == 4.0);
    CHECK(*f.largest_batch <= 4);
    CHECK(*f.largest_batch > 1);
  }
  ScoringPool pool(f.reward(), {.threads = 1});
  pool.submit(f.task("throw"));
  const auto results = pool.finish();
  CHECK(results[0].components[0].verdict.reason == "broken");
  CHECK_FALSE(results[0].judged);
}

namespace {

// Waits for the end of the rollout; says how many completions came in one call, and on its thread.
class AtTheEnd final : public RewardRule {
 public:
  AtTheEnd(std::vector<size_t>* calls, std::thread::id thread) : calls_(calls), thread_(thread) {}
  bool after_rollout() const override { return true; }
  Verdict score(const RewardInput& input) const override {
    return std::move(score_batch({&input, 1}).front());
  }
  std::vector<Verdict> score_batch(std::span<const RewardInput> inputs) const override {
    calls_->push_back(inputs.size());
    std::vector<Verdict> verdicts;
    for (const RewardInput& input : inputs) {
      verdicts.push_back(verdict_ok(std::string(input.completion)));
      if (std::this_thread::get_id() != thread_) verdicts.back() = verdict_error("another thread");
    }
    return verdicts;
  }

 private:
  std::vector<size_t>* calls_;
  std::thread::id thread_;
};

}  // namespace

TEST_CASE("a rule that waits gets all completions at the end, on the thread that asks for them") {
  const Fixture f;
  std::vector<size_t> calls;
  RewardRegistry registry;
  registry.add({"slow", "slow", {}, [&](const RuleParameters&) {
                  return std::make_unique<Slow>(f.released, f.largest_batch);
                }});
  registry.add({"late", "late", {}, [&](const RuleParameters&) {
                  return std::make_unique<AtTheEnd>(&calls, std::this_thread::get_id());
                }});
  const CompositeReward reward(parse_reward_spec("late=10 if slow, slow=2", "test"), registry, "t");
  CHECK(reward.waits(0));
  CHECK_FALSE(reward.waits(1));
  ScoringPool pool(reward, {.threads = 2, .patience_seconds = 0.2});
  pool.submit(f.task("abc"));
  pool.submit(f.task("hang"));
  pool.submit(f.task("throw"));
  pool.submit(f.task("de"));
  const auto results = pool.finish();
  CHECK(calls == std::vector<size_t>{3});  // what was given up on is not judged further
  CHECK(results[0].value == 16.0);
  CHECK(results[0].components[0].verdict.extracted == "abc");
  CHECK_FALSE(results[1].judged);
  CHECK_FALSE(results[2].judged);  // the other rule failed; this one judged all the same
  CHECK(results[2].components[0].verdict.status == VerdictStatus::ok);
  CHECK(results[3].value == 14.0);

  // Outside of a rollout: after the others, and for a single completion.
  ThreadPool threads(2);
  const std::vector<RewardInput> inputs{{.completion = "x"}, {.completion = "yy"}};
  CHECK(score_all(threads, reward, inputs)[1].value == 14.0);
  CHECK(reward.score({.completion = "zzz"}).value == 16.0);
  CHECK(calls == std::vector<size_t>{3, 2, 1});
}
