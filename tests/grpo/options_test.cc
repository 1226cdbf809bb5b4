// The options of `temper grpo`: presets, and what does not go together.
#include "grpo/options.h"

#include "core/error.h"
#include "grpo/presets.h"
#include "tests/support/catch.h"

using namespace temper;

namespace {

void set(OptionsTable& table, const std::string& flag, const std::string& value) {
  table.find_flag(flag)->set({value}, "--" + flag, OptionOrigin::flag);
}

// What check_grpo_options says when it refuses; empty if it does not.
template <class Change>
std::string refusal(Change&& change) {
  GrpoOptions o;
  change(o);
  try {
    check_grpo_options(o);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

template <class Change>
std::vector<std::string> warnings(Change&& change) {
  GrpoOptions o;
  change(o);
  return check_grpo_options(o);
}

}  // namespace

TEST_CASE("presets: every one resolves, passes the checks, and survives a round through a file") {
  for (const OptionPreset& preset : grpo_presets()) {
    INFO(preset.name);
    GrpoOptions o;
    OptionsTable table = grpo_options(o);
    set(table, "preset", preset.name);
    table.apply_preset();
    for (const auto& [flag, value] : preset.values) {
      const Option* option = table.find_flag(flag);
      REQUIRE(option != nullptr);
      CHECK(option->origin() == OptionOrigin::preset);
    }
    o.training.save_every = 100;  // how much may be lost is for the user to say
    CHECK(check_grpo_options(o).empty());
    CHECK(table.to_json().find("\"preset\":\"" + preset.name + "\"") != std::string::npos);
  }
}

TEST_CASE("presets: the published values, and a flag wins wherever it stands") {
  GrpoOptions o;
  OptionsTable table = grpo_options(o);
  set(table, "clip-high", "0.3");
  set(table, "preset", "dapo");
  set(table, "max-new-tokens", "8192");
  table.apply_preset();
  CHECK(o.clip_low == 0.2);
  CHECK(o.clip_high == 0.3);
  CHECK(o.max_new_tokens == 8192);
  CHECK(o.overlong_buffer == 4096);
  CHECK(o.kl_coef == 0.0);
  CHECK(o.dynamic_sampling);
  CHECK(o.oversample == 3.0);
  CHECK(o.aggregation == Aggregation::token_mean);
  const auto resolved = [](const std::string& name) {
    GrpoOptions p;
    OptionsTable t = grpo_options(p);
    set(t, "preset", name);
    t.apply_preset();
    return p;
  };
  const GrpoOptions r1 = resolved("r1"), zero = resolved("r1-zero"), dsm = resolved("deepseekmath");
  CHECK(r1.clip_low == 10.0);
  CHECK(r1.kl_coef == 0.001);
  CHECK(r1.training.learning_rate == 3e-6);
  CHECK(r1.prompts_per_step * r1.samples_per_prompt / r1.mini_batches == 512);
  CHECK(r1.reference_every * r1.mini_batches == 400);
  CHECK(zero.steps * zero.mini_batches == 10400);
  CHECK(dsm.kl_coef == 0.04);
  CHECK(dsm.prompts_per_step * dsm.samples_per_prompt == 1024);
  CHECK(resolved("dr-grpo").advantage == AdvantageKind::group_mean);
  CHECK(resolved("dr-grpo").aggregation == Aggregation::constant);
  CHECK(resolved("gspo").clip_high == 4e-4);
  CHECK(resolved("cispo").training.adam_eps == 1e-15);
}

TEST_CASE("options: what does nothing or harm together is refused with the mend") {
  const auto has = [](const std::string& text, const char* part) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  };
  CHECK(refusal([](GrpoOptions&) {}).empty());
  has(refusal([](auto& o) { o.objective = PolicyObjective::gspo; }), "--preset gspo");
  has(refusal([](auto& o) { o.objective = PolicyObjective::cispo, o.dual_clip = 3.0; }),
      "--objective clipped");
  has(refusal([](auto& o) { o.dual_clip = 0.9; }), "3 is usual");
  has(refusal([](auto& o) { o.loss_length = 100; }), "--aggregation constant");
  has(refusal([](auto& o) { o.mini_batches = 1000; }), "128 samples");
  has(refusal([](auto& o) { o.kl_coef = 0.0, o.reference_every = 5; }), "--kl-coef");
  has(refusal([](auto& o) { o.reset_optimizer = true; }), "--reference-every");
  has(refusal([](auto& o) { o.kl_unbiased = true, o.kl_in = KlPlace::reward; }), "--kl-in loss");
  has(refusal([](auto& o) { o.kl_unbiased = true, o.kl_coef = 0.0; }), "--kl-coef");
  has(refusal([](auto& o) { o.rollout_correction = "token", o.correction_cap = 0.5; }), "2 is");
  has(refusal([](auto& o) { o.rollout_correction = "token-mask", o.correction_floor = 1.5; }),
      "0.5 is usual");
  has(refusal([](auto& o) { o.keep_sampling_mask = true; }), "--top-p");
  has(refusal([](auto& o) { o.stop = {"</s>", ""}; }), "an empty text ends no completion");
  has(refusal([](auto& o) { o.overlong_buffer = 256; }), "--max-new-tokens 256");
  has(refusal([](auto& o) { o.process_reward = "math", o.advantage = AdvantageKind::rloo; }),
      "leave --advantage out");
  has(refusal([](auto& o) { o.process_reward = "math", o.overlong_buffer = 9; }), "--kl-in loss");
}

TEST_CASE("options: what may be meant is warned about") {
  CHECK(warnings([](GrpoOptions&) {}).empty());
  CHECK(warnings([](auto& o) { o.kl_estimator = KlEstimator::k1; }).size() == 1);
  CHECK(warnings([](auto& o) { o.kl_estimator = KlEstimator::k1, o.kl_unbiased = true; }).empty());
  CHECK(warnings([](auto& o) { o.overlong_filter = true, o.overlong_buffer = 9; }).size() == 1);
  CHECK(warnings([](auto& o) { o.top_p = 0.9; }).size() == 1);
  CHECK(warnings([](auto& o) { o.top_p = 0.9, o.keep_sampling_mask = true; }).empty());
  CHECK(warnings([](auto& o) { o.staleness = 1; }).empty());
  CHECK(warnings([](auto& o) { o.staleness = 1, o.rollout_correction = "none"; }).size() == 1);
  CHECK(warnings([](auto& o) { o.objective = PolicyObjective::cispo; }).size() == 1);
  CHECK(warnings([](auto& o) { o.mini_batches = 4; }).size() == 1);
  CHECK(warnings([](auto& o) { o.mini_batches = 4, o.training.save_every = 10; }).empty());
}
