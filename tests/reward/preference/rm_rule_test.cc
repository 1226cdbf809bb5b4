// The rule `rm`.
#include "core/error.h"
#include "model/training/sequence_scores.h"
#include "reward/composite.h"
#include "reward/preference/engine_access.h"
#include "reward/preference/loss.h"
#include "reward/preference/scored_text.h"
#include "tests/reward/preference/toy.h"
#include "tests/support/catch.h"

using namespace temper;
using test::RewardRun;

namespace {

// A model that was trained on the toy, in a folder.
struct Trained {
  Trained() : run(test::toy_reward_config(), test::toy_options(40)) {
    run.run();
    folder = (run.dir / "step-40").string();
    add_model_rules(registry, {.context = [this]() -> Context& { return ctx; }});
  }
  CompositeReward reward(const std::string& parameters) const {
    return CompositeReward(parse_reward_spec("rm(model=" + folder + parameters + ")=1", "test"),
                           registry, "test");
  }
  double score(const std::string& prompt, const std::string& answer) {
    const ScoredText text = scored_text(*run.tokenizer, *run.chat, {{"user", prompt}}, answer, 256);
    const std::vector<std::vector<int32_t>> ids{text.ids};
    return sequence_scores(ctx, run.weights.view, run.config, ids, 512)[0];
  }

  RewardRun run;
  std::string folder;
  Context ctx{2};
  RewardRegistry registry;
};

}  // namespace

TEST_CASE("rm: the summary or the whole is scored; an empty or endless answer gets the least") {
  Trained t;
  const Json row = parse_json(R"({"question":"row 1"})", "row");
  const auto judge = [&](const CompositeReward& reward, const std::string& completion,
                         const std::string& prompt = "") {
    return reward.score({.prompt = prompt, .completion = completion, .row = &row})
        .components[0]
        .verdict;
  };
  const CompositeReward final = t.reward("");
  CHECK(final.waits(0));
  const Verdict good = judge(final, "<think>a-b</think>ab+cd"), bad = judge(final, "ab-cd");
  INFO(good.reason << " " << bad.reason);
  CHECK(good.status == VerdictStatus::ok);
  CHECK(good.value > 0.5);
  CHECK(good.extracted == "ab+cd");
  CHECK(good.value == Approx(sigmoid(t.score("row 1", "ab+cd"))).epsilon(1e-5));
  CHECK(bad.status == VerdictStatus::wrong);
  CHECK(bad.value < 0.5);

  const CompositeReward all = t.reward(";part=all");
  CHECK(judge(all, "<think>a</think>ab+cd").value ==
        Approx(sigmoid(t.score("row 1", "<think>a</think>ab+cd"))).epsilon(1e-5));

  const CompositeReward plain = t.reward(";value=score;center=0.5;scale=2;floor=-3;least=0");
  CHECK(judge(plain, "ab+cd").value ==
        Approx((t.score("row 1", "ab+cd") - 0.5) / 2.0).epsilon(1e-5));
  for (const CompositeReward* reward : {&final, &plain}) {
    for (const char* nothing : {"", "  ", "<think>a+b</think>", "<think>a+b"}) {
      const Verdict verdict = judge(*reward, nothing);
      CHECK(verdict.status == VerdictStatus::no_answer);
      CHECK(verdict.value == (reward == &final ? 0.0 : -3.0));  // below any answer
    }
    CHECK(judge(*reward, "a+b", "<|assistant|><think>\n").status == VerdictStatus::no_answer);
  }
}

TEST_CASE("rm: a batch gets the verdicts that its completions get alone, and long ones are cut") {
  Trained t;
  const CompositeReward reward = t.reward(";max_tokens=24;batch_tokens=40");
  std::vector<std::string> texts{"a+b", "", "abc-abc", std::string(400, 'a') + "+", "b+", "-"};
  std::vector<RewardInput> inputs;
  for (const std::string& text : texts) inputs.push_back({.prompt = "row 2", .completion = text});
  ThreadPool pool(2);
  const auto together = score_all(pool, reward, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const RewardResult alone = reward.score(inputs[i]);
    CHECK(together[i].value == Approx(alone.value).epsilon(1e-5));
    CHECK(together[i].components[0].verdict.status == alone.components[0].verdict.status);
  }
  CHECK(together[3].components[0].verdict.reason.find("cut to 24 tokens") != std::string::npos);
}

TEST_CASE("rm: the memory plan knows the model and the batch before it is loaded") {
  Trained t;
  const auto memory = t.reward(";batch_tokens=100").memory(60);
  REQUIRE(memory.size() == 2);
  CHECK(memory[0].what == "reward rm: weights");
  CHECK(memory[0].bytes == 4 * count_parameters(t.run.config).total);
  CHECK(memory[1].bytes > 0);
  CHECK(t.reward(";batch_tokens=200").memory(60)[1].bytes == 2 * memory[1].bytes);
  CHECK(t.reward(";batch_tokens=100").memory(200)[1].bytes == 2 * memory[1].bytes);
  CHECK(t.reward(";batch_tokens=100;max_tokens=150").memory(200)[1].bytes ==
        3 * memory[1].bytes / 2);
}

TEST_CASE("rm: a folder that cannot judge is refused before anything is generated") {
  Trained t;
  const auto make = [&](const std::map<std::string, std::string>& parameters) {
    return t.registry.make("rm", parameters, "test");
  };
  CHECK_THROWS_AS(make({}), UserError);
  CHECK_THROWS_AS(make({{"model", "nowhere"}}), UserError);
  CHECK_THROWS_AS(make({{"model", t.folder}, {"scale", "0"}}), UserError);
  CHECK_THROWS_AS(make({{"model", t.folder}, {"part", "some"}}), UserError);
  const ModelConfig lm = small_v3_config();
  OwnedWeights weights = random_weights(lm, DType::f32, 1);
  save_model(weights.view, lm, t.run.dir / "lm", {});
  try {
    make({{"model", (t.run.dir / "lm").string()}});
    FAIL("accepted");
  } catch (const UserError& error) {
    CHECK(std::string(error.what()).find("temper reward-model") != std::string::npos);
  }
}
