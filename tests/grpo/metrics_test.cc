// The statistics behind a step's metrics, by hand.
#include <cmath>
#include <set>
#include <sstream>

#include "core/file.h"
#include "grpo/metrics.h"
#include "grpo/spread.h"
#include "grpo/text_metrics.h"
#include "tests/grpo/grpo_run.h"
#include "tests/support/catch.h"
#include "tests/support/paths.h"

using namespace temper;

namespace {

// The names in the first column of the section "Metrics": `a/b`, `c` stands for a/b and a/c.
std::set<std::string> documented_names() {
  std::istringstream text(read_file(test::source_dir() + "/docs/objectives.md"));
  std::set<std::string> names;
  std::string line, prefix;
  bool inside = false;
  while (std::getline(text, line)) {
    if (line.rfind("## ", 0) == 0) inside = line == "## Metrics";
    if (!inside || line.rfind("| `", 0) != 0) continue;
    const std::string cell = line.substr(2, line.find(" |", 2) - 2);
    prefix.clear();
    for (size_t at = cell.find('`'); at != std::string::npos;) {
      const size_t end = cell.find('`', at + 1);
      const std::string name = cell.substr(at + 1, end - at - 1);
      const size_t slash = name.rfind('/');
      if (slash != std::string::npos) prefix = name.substr(0, slash + 1);
      names.insert(slash == std::string::npos ? prefix + name : name);
      at = cell.find('`', end + 1);
    }
  }
  return names;
}

}  // namespace

TEST_CASE("metrics: mean, spread and quantiles") {
  Spread s;
  CHECK(s.mean() == 0.0);
  CHECK(s.quantile(0.5) == 0.0);
  for (double x : {4.0, 1.0, 3.0, 2.0}) s.add(x);
  CHECK(s.mean() == 2.5);
  CHECK(s.std() == Approx(std::sqrt(1.25)));
  CHECK(s.least() == 1.0);
  CHECK(s.most() == 4.0);
  CHECK(s.quantile(0.5) == 2.5);
  CHECK(s.quantile(1.0) == 4.0);
  CHECK(s.quantile(0.95) == Approx(3.85));
}

TEST_CASE("metrics: correlation of pairs, 0 where one side does not vary") {
  CHECK(correlation({1.0, 2.0, 3.0}, {5.0, 3.0, 1.0}) == Approx(-1.0));
  CHECK(correlation({1.0, 2.0, 3.0, 4.0}, {1.0, 3.0, 2.0, 4.0}) == Approx(0.8));
  CHECK(correlation({1.0, 1.0}, {0.0, 1.0}) == 0.0);
  CHECK(correlation({}, {}) == 0.0);
}

TEST_CASE("metrics: repetition counts n-grams seen before; reflective words are whole words") {
  const std::vector<int32_t> twice{1, 2, 3, 1, 2, 3, 1, 2};
  CHECK(repetition_rate(twice, 3) == Approx(0.5));  // 123 231 312 123 231 312
  CHECK(repetition_rate(twice, 4) == Approx(2.0 / 5.0));
  CHECK(repetition_rate(std::vector<int32_t>{1, 2}, 4) == 0.0);
  CHECK(reflective_words("Wait, I should check: but the waiter is wrong. WAIT") == 5);
  CHECK(reflective_words("") == 0);
  CHECK(foreign_script_share("so the answer \u662f 4") == Approx(1.0 / 4.0));
  CHECK(foreign_script_share("1 + 1 = 2") == 0.0);
}

TEST_CASE("metrics: rollout against trainer, by hand") {
  GrpoGroup group;
  GrpoSample& s = group.samples.emplace_back();
  s.rollout.logprobs = {std::log(0.5), std::log(0.2), std::log(0.8)};
  s.old = {std::log(0.5), std::log(0.5), std::log(0.3)};   // w = 1, 2.5, 0.375
  group.samples.emplace_back().rollout.logprobs = {-1.0};  // not scored: does not count
  const Mismatch m = measure_mismatch({group}, {CorrectionKind::token, 2.0, 0.0});
  CHECK(m.max == Approx(std::log(0.8 / 0.3)));
  CHECK(m.kl == Approx((std::log(0.2 / 0.5) + std::log(0.8 / 0.3)) / 3.0));
  CHECK(m.k3 == Approx((2.5 - std::log(2.5) - 1.0 + 0.375 - std::log(0.375) - 1.0) / 3.0));
  CHECK(m.prob_mean == Approx((0.3 + 0.5) / 3.0));
  CHECK(m.prob_max == Approx(0.5));
  CHECK(m.weight_mean == Approx(3.875 / 3.0));
  CHECK(m.weight_max == Approx(2.5));
  CHECK(m.ess == Approx(3.875 * 3.875 / (3.0 * (1.0 + 6.25 + 0.140625))));
  CHECK(m.far == Approx(2.0 / 3.0));
  CHECK(m.corrected == Approx(1.0 / 3.0));
  CHECK(m.masked_sequences == 0.0);
  CHECK(m.prob_correlation < 0.0);
  const Mismatch masked = measure_mismatch({group}, {CorrectionKind::sequence_mask, 0.5, 0.0});
  CHECK(masked.masked_sequences == 1.0);  // the product of the weights is 0.9375
  CHECK(measure_mismatch({}, {}).ess == 1.0);
  CHECK(is_alarming(m));
  CHECK_FALSE(is_alarming({}));
}

TEST_CASE("metrics: docs/objectives.md has every name that a run logs, and no other") {
  test::Options o;
  o.steps = 1;
  o.kl_coef = 0.1;
  o.training.mtp_weight = 0.1;
  test::GrpoRun r(o, test::kPlain);
  r.run();
  std::set<std::string> logged;
  r.store.database().for_each_row("SELECT name FROM metrics", [&](const auto& row) {
    std::string name = row.template get<std::string>(0);
    const size_t rule = name.find("/letters/");
    if (rule != std::string::npos) name.replace(rule, 9, "/<rule>/");
    logged.insert(name);
  });
  const std::set<std::string> documented = documented_names();
  for (const std::string& name : logged) {
    INFO(name << " is logged");
    CHECK(documented.count(name) == 1);
  }
  for (const std::string& name : documented) {
    if (name.starts_with("train/")) continue;  // of f16, in which only a GPU computes
    INFO(name << " is documented");
    CHECK(logged.count(name) == 1);
  }
}

TEST_CASE("metrics: a step says what it changed, computed and held") {
  test::Options o;
  o.steps = 1;
  test::GrpoRun r(o, test::kPlain);
  r.run();
  const Tensor &before = r.start.storage.view, &after = r.weights.storage.view;
  double changed = 0.0;
  for (int64_t i = 0; i < before.numel(); ++i)
    changed += std::pow(static_cast<double>(after.get<float>()[i] - before.get<float>()[i]), 2);
  const auto metric = [&](const char* name) {
    return r.store.database()
        .value<double>("SELECT value FROM metrics WHERE name = ?", name)
        .value_or(-1.0);
  };
  CHECK(changed > 0.0);
  CHECK(metric("update_norm") == Approx(std::sqrt(changed)).epsilon(1e-4));
  CHECK(metric("speed/train_flops") > 0.0);
  CHECK(metric("speed/rollout_flops") > 0.0);
  CHECK(metric("memory/host_peak") > 1e6);
  CHECK((metric("memory/cache_in_use") > 0.0 && metric("memory/cache_in_use") <= 1.0));
  CHECK(metric("memory/cache") > 0.0);
  CHECK((metric("batch/fill") > 0.0 && metric("batch/fill") <= 1.0));
}
