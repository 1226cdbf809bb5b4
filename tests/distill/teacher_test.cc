// Teachers that are no model of ours: a server that speaks OpenAI's protocol, and recorded traces.
#include "distill/teacher.h"

#include <mutex>

#include "core/error.h"
#include "data/tokenizer_export.h"
#include "distill/traces.h"
#include "tests/support/catch.h"
#include "tests/support/loopback_server.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

using namespace temper;

namespace {

struct Bench {
  TemporaryFolder folder;
  Tokenizer tokenizer;
  ChatTemplate chat;
  CompositeReward reward{parse_reward_spec("math", "test"), builtin_rules(), "test"};
  ThreadPool pool{2};

  Bench()
      : tokenizer((write_tiny_tokenizer(folder.path()), folder.path())),
        chat(ChatTemplate::choose("", tokenizer)) {}
  TextTeacherJob job(int64_t samples) { return {tokenizer, reward, pool, samples}; }
  Prompt prompt(const std::string& text, const std::string& gold) {
    Prompt p;
    p.id = text;
    p.messages = {{"system", "be brief"}, {"user", text}};
    p.text = text;
    p.gold = gold;
    return p;
  }
};

}  // namespace

TEST_CASE("a server is asked once a prompt for n answers, which come back judged") {
  Bench bench;
  std::mutex mutex;
  std::vector<std::string> bodies, heads;
  test::LoopbackServer server([&](const std::string& body, const std::string& head) {
    const std::lock_guard lock(mutex);
    bodies.push_back(body);
    heads.push_back(head);
    if (bodies.size() == 1) return test::ServedAnswer{503, "busy"};  // is asked again
    return test::ServedAnswer{200, R"({"choices":[
          {"finish_reason":"stop","message":{"content":"\\boxed{5}","reasoning_content":"2+3"}},
          {"finish_reason":"length","message":{"content":"let me think"}}]})"};
  });
  const auto teacher = server_teacher(bench.job(2), {.url = server.url() + "/",
                                                     .model = "deepseek-r1",
                                                     .header = "Authorization: Bearer secret",
                                                     .max_new_tokens = 99,
                                                     .temperature = 0.6,
                                                     .seed = 40,
                                                     .backoff_seconds = 0.01});
  const std::vector<Prompt> prompts{bench.prompt("2+3=?", "5"), bench.prompt("1+1=?", "2")};
  const JudgedSamples samples = teacher->sample(prompts, 10);
  CHECK(server.requests() == 3);
  CHECK_THAT(heads[0], Contains("/score/chat/completions") && Contains("Bearer secret"));
  REQUIRE(samples.groups.size() == 2);
  const JudgedSample& first = samples.groups[0][0];
  CHECK(first.text == "<think>\n2+3\n</think>\n\n\\boxed{5}");
  CHECK(first.rollout.finish == FinishReason::stop);
  CHECK(first.reward.value == 1.0);
  CHECK(bench.tokenizer.decode(first.rollout.ids) == first.text);
  CHECK(samples.groups[0][1].rollout.finish == FinishReason::length);
  CHECK(samples.groups[1][0].reward.value == 0.0);
  const Json body = parse_json(bodies[1], "body");
  CHECK(body["n"].GetInt() == 2);
  CHECK(body["max_tokens"].GetInt() == 99);
  CHECK(body["temperature"].GetDouble() == 0.6);
  CHECK(body["model"].GetString() == std::string("deepseek-r1"));
  CHECK(body["messages"][0]["role"].GetString() == std::string("system"));
  CHECK((body["seed"].GetInt() == 50 || body["seed"].GetInt() == 51));
}

TEST_CASE("a server that fails, or answers something else, is named") {
  Bench bench;
  const std::vector<Prompt> prompts{bench.prompt("2+3=?", "5")};
  const auto ask = [&](int status, const std::string& body) {
    test::LoopbackServer server([&](const std::string&, const std::string&) {
      return test::ServedAnswer{status, body};
    });
    server_teacher(bench.job(1), {.url = server.url(), .retries = 1, .backoff_seconds = 0.01})
        ->sample(prompts, 0);
  };
  CHECK_THROWS_WITH(ask(404, "no such model"), Contains("404") && Contains("no such model"));
  CHECK_THROWS_WITH(ask(200, "{\"object\":\"list\"}"), Contains("no choices"));
  CHECK_THROWS_AS(ask(200, "<html>"), UserError);
  CHECK_THROWS_AS(ask(500, "down"), SystemError);
  CHECK_THROWS_WITH(
      server_teacher(bench.job(1), {.url = "http://127.0.0.1:1", .retries = 0})->sample(prompts, 0),
      Contains("no answer"));
}

TEST_CASE("recorded traces: lists of answers, reasoning apart, messages") {
  Bench bench;
  const auto file = bench.folder.write(
      "traces.jsonl",
      R"({"problem":"2+3=?","generations":["\\boxed{5}","\\boxed{6}"],"gold":"5"})"
      "\n"
      R"({"question":"1+1=?","thinking":"easy","response":"\\boxed{2}","answer":"#### 2"})"
      "\n"
      R"({"messages":[{"role":"user","content":"3+3=?"},)"
      R"({"role":"assistant","content":"\\boxed{6}"}]})"
      "\n");
  Traces traces = read_traces({file}, bench.tokenizer, bench.chat, {});
  REQUIRE(traces.answers.size() == 3);
  CHECK(traces.answers[1][0] == "<think>\neasy\n</think>\n\n\\boxed{2}");
  const std::vector<Prompt> prompts = traces.data.prompts;
  const JudgedSamples samples =
      recorded_teacher(bench.job(1), std::move(traces.answers))->sample(prompts, 0);
  CHECK(samples.groups[0][0].reward.value == 1.0);
  CHECK(samples.groups[0][1].reward.value == 0.0);
  CHECK(samples.groups[1][0].reward.value == 1.0);
  CHECK(samples.groups[2][0].reward.value == 1.0);
  const auto bad = bench.folder.write("bad.jsonl", "{\"problem\":\"2+3=?\"}\n");
  CHECK_THROWS_WITH(read_traces({bad}, bench.tokenizer, bench.chat, {}), Contains("bad.jsonl:1"));
}

TEST_CASE("real R1 traces are read with their golds, and judged right") {
  const auto file = test::shared_data_dir() / "r1_traces/sample_openrouter_outputs.json";
  if (!test::present(file)) return;
  Bench bench;
  Traces traces = read_traces({file}, bench.tokenizer, bench.chat, {});
  REQUIRE(traces.answers.size() == 5);
  const std::vector<Prompt> prompts = traces.data.prompts;
  const JudgedSamples samples =
      recorded_teacher(bench.job(1), std::move(traces.answers))->sample(prompts, 0);
  int right = 0;
  for (const auto& group : samples.groups) {
    CHECK(group[0].text.starts_with("<think>\n"));
    right += group[0].reward.value == 1.0;
  }
  CHECK(right == 5);
}
