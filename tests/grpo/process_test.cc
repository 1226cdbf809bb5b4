// Process rewards: where steps end, and what a run makes of their rewards.
#include "grpo/process.h"

#include <numeric>

#include "grpo/advantage.h"
#include "tests/grpo/grpo_run.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

using namespace temper;
using namespace temper::test;

namespace {

struct Steps {
  Steps() : tokenizer((write_tiny_tokenizer(dir.path()), dir.path())) {}
  // The tiny tokenizer has a token a byte. With `stopped`, the end token follows.
  std::vector<CompletionStep> split(const std::string& text, const std::string& separator,
                                    bool stopped = true) {
    std::vector<int32_t> ids = tokenizer.encode(text);
    if (stopped) ids.push_back(TinyTokenizer::kEnd);
    return split_steps(tokenizer, ids, text, separator);
  }
  TemporaryFolder dir;
  Tokenizer tokenizer;
};

void check_steps(const std::vector<CompletionStep>& got,
                 const std::vector<std::pair<int64_t, size_t>>& want) {
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].end == want[i].first);
    CHECK(got[i].length == want[i].second);
  }
}

}  // namespace

TEST_CASE("process: a step ends behind its separator, the last one at the last token") {
  Steps s;
  check_steps(s.split("1+2\n3\n4", "\n"), {{3, 4}, {5, 6}, {7, 7}});
  check_steps(s.split("1+2\n3\n4", "\n", false), {{3, 4}, {5, 6}, {6, 7}});
  check_steps(s.split("no step", "\n"), {{7, 7}});
  check_steps(s.split("\n\na\n\n\nb\n\n", "\n\n"), {{4, 5}, {9, 9}});  // blank pieces join others
  check_steps(s.split("", "\n"), {{0, 0}});
  check_steps(s.split("", "\n", false), {});
}

TEST_CASE("process: a run's token advantages are those of its step rewards") {
  Options o;
  o.steps = 2;
  o.process_reward = "letters=1";
  o.step_separator = "e";
  GrpoRun r(o, kPlain);
  r.run();
  const std::vector<SampleRow> rows = r.samples(1);
  REQUIRE(rows.size() == 16);
  const auto letters_up_to = [&](const SampleRow& row, size_t length, int64_t tokens) {
    double letters = 0.0;
    for (const char c : row.completion.substr(0, length)) letters += c >= 'a' && c <= 'z';
    return tokens == 0 ? 0.0 : letters / static_cast<double>(tokens);
  };
  for (size_t first = 0; first < rows.size(); first += 4) {
    std::vector<StepRewards> group;
    for (size_t i = first; i < first + 4; ++i) {
      StepRewards& s = group.emplace_back();
      s.tokens = static_cast<int64_t>(rows[i].ids.size());
      for (const CompletionStep& step :
           split_steps(*r.tokenizer, rows[i].ids, rows[i].completion, "e")) {
        s.ends.push_back(step.end);
        s.rewards.push_back(letters_up_to(rows[i], step.length, step.end + 1));
      }
    }
    const auto want = process_advantages(group);
    for (size_t i = 0; i < 4; ++i) {
      const SampleRow& row = rows[first + i];
      REQUIRE(row.token_advantages.size() == row.ids.size());
      for (size_t t = 0; t < row.ids.size(); ++t)
        CHECK(double{row.token_advantages[t]} == Approx(want[i][t]).margin(1e-6));
      const double mean = std::accumulate(want[i].begin(), want[i].end(), 0.0) /
                          static_cast<double>(want[i].size());
      CHECK(row.advantage.value() == Approx(mean).margin(1e-12));
    }
  }
}

TEST_CASE("process: step rewards alone raise what they reward") {
  Options o;
  o.steps = 15;
  o.samples_per_prompt = 8;
  o.process_reward = "letters=1";
  o.step_separator = "e";
  GrpoRun r(o, kPlain);
  r.run();
  const std::vector<double> reward = r.curve("reward/mean");
  CHECK(reward.back() > reward.front() + 0.2);
}
