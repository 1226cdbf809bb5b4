// The rule `http` against a server on this machine.
#include <future>

#include "core/error.h"
#include "reward/composite.h"
#include "tests/support/catch.h"
#include "tests/support/loopback_server.h"

using namespace temper;
using test::LoopbackServer;
using test::ServedAnswer;

namespace {

std::unique_ptr<RewardRule> rule_of(const std::string& url,
                                    std::map<std::string, std::string> parameters = {}) {
  parameters["url"] = url;
  parameters.emplace("backoff", "0.02");
  return builtin_rules().make("http", parameters, "test");
}

// A verdict a sample: the length of its completion.
ServedAnswer lengths(const std::string& body) {
  const Json request = parse_json(body, "request");
  std::string list;
  for (const JsonValue& sample : find_member(request, "samples")->GetArray()) {
    list += (list.empty() ? "" : ",") +
            std::to_string(find_member(sample, "completion")->GetStringLength());
  }
  return {.status = 200, .body = "{\"verdicts\":[" + list + "]}"};
}

}  // namespace

TEST_CASE("a server judges batches, each sample by its own verdict") {
  LoopbackServer server([](const std::string& body, const std::string&) { return lengths(body); });
  const CompositeReward reward(
      parse_reward_spec("http(url=\"" + server.url() + "\"; batch=8)", "test"), builtin_rules(),
      "test");
  std::vector<std::string> completions;
  for (size_t i = 0; i < 20; ++i) completions.emplace_back(i, 'x');
  std::vector<RewardInput> inputs;
  for (const std::string& completion : completions) inputs.push_back({.completion = completion});
  ThreadPool pool(2);
  const auto results = score_all(pool, reward, inputs);
  for (size_t i = 0; i < results.size(); ++i) {
    CHECK(results[i].judged);
    CHECK(results[i].value == static_cast<double>(i));
  }
  CHECK(server.requests() == 3);
}

TEST_CASE("a server that fails for a moment is asked again") {
  int calls = 0;
  LoopbackServer server([&](const std::string& body, const std::string&) -> ServedAnswer {
    if (++calls < 3) return {.status = calls == 1 ? 503 : 429};
    return lengths(body);
  });
  CHECK(rule_of(server.url())->score({.completion = "abc"}).value == 3.0);
  CHECK(server.requests() == 3);
}

TEST_CASE("what a server cannot judge is an error that says why, never a 0") {
  ServedAnswer answer;
  LoopbackServer server([&](const std::string&, const std::string&) { return answer; });
  const auto rule = rule_of(server.url(), {{"retries", "1"}});
  const auto judge = [&](int status, const std::string& body) {
    answer = {.status = status, .body = body};
    const Verdict verdict = rule->score({.completion = "a"});
    CHECK(verdict.status == VerdictStatus::error);
    return verdict.reason;
  };
  CHECK(judge(500, "down").find("500: down") != std::string::npos);
  CHECK(server.requests() == 2);
  CHECK(judge(404, "no").find("404") != std::string::npos);
  CHECK(server.requests() == 3);  // not tried again
  CHECK(judge(200, "soon").find("not JSON") != std::string::npos);
  CHECK(judge(200, "[1, 1]") == "2 verdicts for 1 samples");
  CHECK(judge(200, "{\"value\":1}") == "the answer is no list of verdicts");
  CHECK(judge(200, "[\"1\"]").find("neither") != std::string::npos);
  CHECK(judge(302, "").find("302") != std::string::npos);
  answer = {.status = 200, .body = "[1]"};
  CHECK(rule->score({.completion = "a"}).status == VerdictStatus::ok);
}

TEST_CASE("a server that does not answer in time holds up nobody for long") {
  std::promise<void> release;
  LoopbackServer server(
      [released = release.get_future().share()](const std::string& body, const std::string&) {
        released.wait();  // until the rule has given up
        return lengths(body);
      });
  const Verdict verdict =
      rule_of(server.url(), {{"retries", "0"}, {"timeout", "0.2"}})->score({.completion = "a"});
  CHECK(verdict.status == VerdictStatus::error);
  CHECK(verdict.reason.find("no answer") == 0);
  release.set_value();
  CHECK(rule_of("http://127.0.0.1:1/", {{"retries", "1"}})->score({}).status ==
        VerdictStatus::error);
}

TEST_CASE("a server sees the header that was asked for") {
  std::string head;
  LoopbackServer server([&](const std::string& body, const std::string& h) {
    head = h;
    return lengths(body);
  });
  rule_of(server.url(), {{"header", "Authorization: Bearer k"}})->score({.completion = "a"});
  CHECK(head.find("Authorization: Bearer k") != std::string::npos);
  CHECK(head.find("Content-Type: application/json") != std::string::npos);
}

TEST_CASE("http refuses parameters that cannot work") {
  for (const char* url : {"", "localhost", "file:///etc/passwd"}) {
    CHECK_THROWS_AS(rule_of(url), UserError);
  }
  CHECK_THROWS_AS(rule_of("http://x", {{"batch", "0"}}), UserError);
}
