#include "rollout/sample_prompts.h"

#include <algorithm>

#include "data/store_reader.h"
#include "data/tokenizer_export.h"
#include "rollout/evaluate.h"
#include "rollout/record.h"
#include "rollout/stop_watch.h"
#include "tests/support/catch.h"
#include "tests/support/small_models.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

// The built-in byte tokenizer and a random model over its vocabulary.
struct Bench {
  TemporaryFolder folder;
  Tokenizer tokenizer;
  ModelConfig config = small_v3_config();
  OwnedWeights weights;
  Context ctx{2};
  std::vector<Prompt> prompts;

  Bench() : tokenizer((write_tiny_tokenizer(folder.path()), folder.path())) {
    config.vocab_size = tokenizer.vocab_size();
    weights = random_weights(config, DType::f32, 4);
    for (const std::string text : {"1+1=", "2+2=", "twenty?"}) {
      Prompt prompt;
      prompt.id = "test:" + std::to_string(prompts.size() + 1);
      prompt.text = text;
      prompt.ids = tokenizer.encode(text);
      prompt.gold = "2";
      prompt.extra = "{\"gold\":\"2\"}";
      prompts.push_back(prompt);
    }
  }
};

JudgedSample judged(std::vector<VerdictStatus> statuses, double value, size_t tokens,
                    FinishReason finish = FinishReason::stop) {
  JudgedSample sample;
  sample.rollout.ids.resize(tokens);
  sample.rollout.finish = finish;
  sample.reward.value = value;
  for (const VerdictStatus status : statuses) {
    ComponentVerdict component;
    component.verdict.status = status;
    sample.reward.judged = sample.reward.judged && was_judged(status);
    sample.reward.components.push_back(component);
  }
  return sample;
}

}  // namespace

TEST_CASE("a stop watch ends the text before the first stop string, however it is cut") {
  const Bench bench;
  const auto run = [&](const std::string& text, const std::vector<std::string>& stops) {
    StopWatch watch(bench.tokenizer, stops);
    std::string streamed;
    for (const int32_t id : bench.tokenizer.encode(text)) {
      const bool stop = watch.push(id);
      streamed += watch.take();
      if (stop) break;
    }
    watch.finish();
    streamed += watch.take();
    CHECK(streamed == watch.text());
    return watch.text();
  };
  CHECK(run("one two three", {"two"}) == "one ");
  CHECK(run("one two three", {"three", "e t"}) == "on");
  CHECK(run("aab aaac", {"aaac", ""}) == "aab ");
  CHECK(run("no such text", {"texts", "x!"}) == "no such text");
  CHECK(run("é\xC3\xA9 5€ end", {"€"}) == "éé 5");
  CHECK(run("\xE2\x82", {"x"}) == "\xEF\xBF\xBD");
}

TEST_CASE("sampled prompts stop at ids and strings and their text leaves both out") {
  Bench bench;
  RolloutEngine engine(bench.ctx, bench.weights.view, bench.config);
  SampleJob job{
      .ctx = bench.ctx, .engine = engine, .tokenizer = bench.tokenizer, .prompts = bench.prompts};
  job.options = {.samples = 4, .max_new_tokens = 60, .seed = 3};
  const JudgedSamples free = sample_prompts(job);
  REQUIRE(free.groups.size() == 3);
  CHECK(free.stats.generated_tokens == 3 * 4 * 60);

  const int32_t stop_id = free.groups[0][0].rollout.ids[30];
  job.options.stop_ids = {stop_id};
  const JudgedSamples by_id = sample_prompts(job);
  const JudgedSample& first = by_id.groups[0][0];
  CHECK(first.rollout.finish == FinishReason::stop);
  CHECK(first.rollout.ids.back() == stop_id);
  CHECK(first.rollout.ids.size() <= 31);

  job.options.stop_ids.clear();
  const std::string text = free.groups[1][2].text;
  job.options.stop_strings = {text.substr(text.size() / 2, 1)};
  const JudgedSamples by_text = sample_prompts(job);
  const JudgedSample& cut = by_text.groups[1][2];
  CHECK(cut.rollout.finish == FinishReason::stop);
  CHECK(cut.text == text.substr(0, text.find(job.options.stop_strings[0])));
  CHECK(cut.rollout.ids.size() < 60);
}

TEST_CASE("a part of the prompts gives the same completions as the whole") {
  Bench bench;
  RolloutEngine engine(bench.ctx, bench.weights.view, bench.config);
  SampleJob job{
      .ctx = bench.ctx, .engine = engine, .tokenizer = bench.tokenizer, .prompts = bench.prompts};
  job.options = {.samples = 2, .max_new_tokens = 20, .seed = 5};
  const JudgedSamples all = sample_prompts(job);
  job.prompts = job.prompts.subspan(1);
  job.first_prompt = 1;
  const JudgedSamples part = sample_prompts(job);
  for (size_t g = 0; g < 2; ++g) {
    for (size_t s = 0; s < 2; ++s) {
      CHECK(part.groups[g][s].rollout.ids == all.groups[g + 1][s].rollout.ids);
    }
  }
}

TEST_CASE("a stop watch for people hides special tokens, but not a stop string that is one") {
  const Bench bench;
  const auto run = [&](const std::vector<std::string>& stops, StopWatch::Special special) {
    StopWatch watch(bench.tokenizer, stops, special);
    for (const int32_t id : bench.tokenizer.encode("a<|pad|>b<think>c<|user|>d"))
      if (watch.push(id)) break;
    watch.finish();
    return watch.text();
  };
  using enum StopWatch::Special;
  CHECK(run({}, shown) == "a<|pad|>b<think>c<|user|>d");
  CHECK(run({}, hidden) == "ab<think>cd");  // the tags are not special
  CHECK(run({"<|user|>"}, hidden) == "ab<think>c");
  CHECK(run({"c<|us"}, hidden) == "ab<think>cd");  // no token of its own
}

TEST_CASE("an evaluation of which nothing could be judged has no rates, and reasons") {
  const CompositeReward reward(parse_reward_spec("format=0.5,math=1", "test"), builtin_rules(),
                               "test");
  using enum VerdictStatus;
  std::vector<std::vector<JudgedSample>> groups(1);
  groups[0] = {judged({ok, bad_gold}, 0, 9), judged({error, bad_gold}, 0, 9)};
  groups[0][0].reward.components[1].verdict.reason = "there is no gold";
  groups[0][1].reward.components[1].verdict.reason = "there is no gold";
  groups[0][1].reward.components[0].verdict.reason = "it broke";
  const EvalSummary s = summarise(reward, groups);
  CHECK(s.unjudged == 2);
  for (const double rate : {s.pass_at_1, s.standard_error, s.mean_reward, s.truncated_rate})
    CHECK(std::isnan(rate));
  CHECK(unjudged_reasons(reward, groups) ==
        "2 x math, bad_gold: there is no gold\n1 x format, error: it broke");
  const std::string table = eval_table("t", {}, {.summary = s, .stats = {}, .samples = {}});
  CHECK(table.find("0.00 %") == std::string::npos);
  CHECK(table.find("nan") == std::string::npos);
}

TEST_CASE("pass@1 is a mean over prompts and its error is clustered by prompt") {
  const CompositeReward reward(parse_reward_spec("format=0.5,math=1", "test"), builtin_rules(),
                               "test");
  using enum VerdictStatus;
  std::vector<std::vector<JudgedSample>> groups(4);
  groups[0] = {judged({ok, ok}, 1.5, 10), judged({ok, wrong}, 0.5, 20)};
  groups[1] = {judged({wrong, no_answer}, 0, 30, FinishReason::length), judged({ok, error}, 0, 5)};
  groups[2] = {judged({wrong, ok}, 1, 40), judged({}, 0, 3, FinishReason::cancelled)};
  groups[3] = {judged({ok, bad_gold}, 0, 9), judged({ok, bad_gold}, 0, 9)};
  const EvalSummary s = summarise(reward, groups);
  CHECK(s.prompts == 3);
  CHECK(s.samples == 4);
  CHECK(s.unjudged == 3);
  CHECK(s.cancelled == 1);
  CHECK(s.pass_at_1 == Approx((0.5 + 0.0 + 1.0) / 3));
  CHECK(s.standard_error == Approx(std::sqrt((0.0 + 0.25 + 0.25) / (3 * 2))));
  CHECK(s.right == "math");
  REQUIRE(s.pass_at.size() == 1);  // one prompt has two judged samples
  CHECK(s.pass_at[0].k == 2);
  CHECK(s.pass_at[0].value.mean == 1.0);
  CHECK(s.majority.mean == Approx(2.0 / 3));
  CHECK(s.components.empty());
  CHECK(s.format_rate == Approx(0.5));
  CHECK(s.mean_reward == Approx(3.0 / 4));
  CHECK(s.mean_tokens == Approx(25.0));
  CHECK(s.truncated_rate == Approx(0.25));
  CHECK(summarise(reward, {}).prompts == 0);
}

TEST_CASE("an evaluation is in the database as it was computed") {
  Bench bench;
  RolloutEngine engine(bench.ctx, bench.weights.view, bench.config);
  const CompositeReward reward(parse_reward_spec("math=1,format=0.2", "test"), builtin_rules(),
                               "test");
  SampleJob job{.ctx = bench.ctx,
                .engine = engine,
                .tokenizer = bench.tokenizer,
                .prompts = bench.prompts,
                .reward = &reward};
  job.options = {.samples = 3, .max_new_tokens = 12};
  const EvalReport report = evaluate(job);
  CHECK(report.summary.samples == 9);
  CHECK(report.summary.format_rate == 0.0);
  CHECK(report.summary.truncated_rate == 1.0);
  const std::string table = eval_table("sums", job.options, report);
  CHECK_THAT(table, Contains("pass@1 (avg@3)"));
  CHECK_THAT(table, Contains("pass@2") && Contains("pass@3") && Contains("maj@3"));

  Store store(bench.folder / "run");
  const int64_t run =
      store.begin_run({.kind = "eval", .model = "m", .code_version = {}, .command_line = {}});
  StepWriter writer(store, {.run_id = run, .kind = "eval", .step = 0}, 0);
  record_samples(writer, job, report.samples.groups);
  record_eval(writer, job, "sums", report);
  writer.commit({});
  Database& db = store.database();
  CHECK(db.value<int64_t>("SELECT count(*) FROM samples").value() == 9);
  CHECK(db.value<int64_t>("SELECT count(*) FROM rewards WHERE rule = 'format'").value() == 9);
  CHECK(db.value<int64_t>("SELECT count(*) FROM samples WHERE truncated").value() == 9);
  CHECK(db.value<double>("SELECT pass_at_1 FROM evals WHERE task = 'sums'").value() ==
        report.summary.pass_at_1);
  CHECK(db.value<std::string>("SELECT details ->> '$.right' FROM evals").value() == "math");
  CHECK(db.value<int64_t>("SELECT details ->> '$.pass_at[1].k' FROM evals").value() == 3);
  CHECK(db.value<double>("SELECT details ->> '$.majority_at.value' FROM evals").value() ==
        report.summary.majority.mean);
}
