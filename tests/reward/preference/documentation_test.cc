// The examples of docs/rewards.md for the rules that need a model.
#include "tests/support/documentation_examples.h"

#include <map>

#include "reward/preference/engine_access.h"
#include "tests/reward/preference/toy.h"
#include "tests/support/loopback_server.h"

using namespace temper;

namespace {

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const size_t at = text.find(what);
  return at == std::string::npos ? text : text.replace(at, what.size(), by);
}

// The judge of the examples: 10 for Paris, 2 for others, nothing for Rome; of two the better one.
test::ServedAnswer judge(const std::string& body, const std::string&) {
  const Json request = parse_json(body, "request");
  const std::string prompt = (*find_member(request, "messages"))[0]["content"].GetString();
  const auto grade_of = [&](const std::string& heading) {
    const size_t at = prompt.find(heading + "]\n");
    const std::string answer = prompt.substr(at, prompt.find(" end]", at) - at);
    if (answer.find("Rome") != std::string::npos) return 0;
    return answer.find("Paris") != std::string::npos ? 10 : 2;
  };
  std::string verdict;
  if (prompt.find(" answer A]\n") != std::string::npos) {
    const int a = grade_of(" answer A"), b = grade_of(" answer B");
    verdict = a > b ? "A" : a < b ? "B" : "tie";
  } else {
    const int grade = grade_of(" answer");
    verdict = grade == 0 ? "unknown" : std::to_string(grade);
  }
  return {.body = "{\"choices\":[{\"message\":{\"content\":\"So.\\nVerdict: " + verdict + "\"}}]}"};
}

}  // namespace

TEST_CASE("preference: the examples of the documentation hold for rm and judge") {
  test::RewardRun run(test::toy_reward_config(), test::toy_options(40));
  run.run();
  test::LoopbackServer server(judge);
  RewardRegistry registry;
  add_model_rules(registry, {.context = [&]() -> Context& { return run.ctx; }});
  std::map<std::string, int> seen;
  test::for_each_example([&](const std::string& rule, const std::string& line) {
    const std::string name = test::name_of_example(rule);
    if (name != "rm" && name != "judge") return;
    const std::string filled = replaced(replaced(rule, "MODEL", (run.dir / "step-40").string()),
                                        "SERVER", server.base() + "/v1");
    test::run_example(registry, filled, line);
    ++seen[name];
  });
  CHECK(seen["rm"] >= 6);
  CHECK(seen["judge"] >= 6);
}
