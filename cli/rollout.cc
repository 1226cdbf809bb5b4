// temper rollout: sample completions of a prompt file into a database, a JSONL file, or both.
#include <cstdio>
#include <fstream>
#include <memory>

#include "cli/prompted_model.h"
#include "cli/reward_rules.h"
#include "core/error.h"
#include "core/progress.h"
#include "rollout/evaluate.h"
#include "rollout/record.h"

namespace temper {
namespace {

struct RolloutCommand {
  PromptSourceOptions source;
  std::string reward, out, jsonl;
  int64_t samples = 1, prompts_per_step = 256;
  SamplingOptions sampling;
};

OptionsTable rollout_options(RolloutCommand& o) {
  OptionsTable table;
  add_prompt_options(table, o.source);
  table.group("Output");
  table.add("out", &o.out, "run directory: samples go into its database").value_name("DIR");
  table.add("jsonl", &o.jsonl, "samples as JSON rows").value_name("FILE");
  table.add("samples", &o.samples, "G, for each prompt").at_least(1);
  table.add("reward", &o.reward, "judge the samples: math=1,format=0.2").value_name("SPEC");
  table.add("prompts-per-step", &o.prompts_per_step, "sampled and committed together").at_least(1);
  add_sampling_options(table, o.sampling);
  return table;
}

template <class T>
std::string list_json(const std::vector<T>& values) {
  std::string text = "[";
  for (const T& value : values) text += (text.size() > 1 ? "," : "") + option_text(value);
  return text + "]";
}

std::string sample_json(const Prompt& prompt, size_t index, const JudgedSample& sample,
                        const CompositeReward* reward) {
  const SampleResult& r = sample.rollout;
  const std::vector<int64_t> ids(r.ids.begin(), r.ids.end());
  std::string text = "{\"id\":" + quote_json(prompt.id) + ",\"prompt\":" + quote_json(prompt.text) +
                     ",\"gold\":" + quote_json(prompt.gold) +
                     ",\"sample\":" + std::to_string(index) +
                     ",\"completion\":" + quote_json(sample.text) + ",\"finish\":\"" +
                     std::string(name_of(r.finish)) + "\",\"ids\":" + list_json(ids) +
                     ",\"logprobs\":" + list_json(r.logprobs);
  if (reward != nullptr) {
    const bool judged = sample.reward.judged;
    text += ",\"reward\":" + (judged ? option_text(sample.reward.value) : std::string("null"));
    for (size_t c = 0; c < sample.reward.components.size(); ++c) {
      const Verdict& verdict = sample.reward.components[c].verdict;
      text += (c == 0 ? ",\"verdicts\":{" : ",") + quote_json(reward->name(c)) + ":\"" +
              std::string(name_of(verdict.status)) + "\"";
    }
    if (!sample.reward.components.empty()) text += "}";
  }
  return text + "}\n";
}

// Where the samples of a run go.
class Sink {
 public:
  Sink(const RolloutCommand& o, const PromptedModel& model, Invocation& cli) {
    if (o.out.empty() && o.jsonl.empty()) {
      throw UserError({.what = "nowhere to put the samples", .expected = "--out, --jsonl or both"});
    }
    if (!o.out.empty()) run_.emplace(o.out, "rollout", model, o.source, o.sampling, cli);
    if (o.jsonl.empty()) return;
    file_.open(o.jsonl);
    if (!file_) throw_errno("cannot write " + o.jsonl);
  }
  void add(const SampleJob& job, const JudgedSamples& samples, int64_t step) {
    if (run_) {
      if (job.reward != nullptr) {
        record_reward_messages(run_->store(), run_->step(step), *job.reward);
      }
      StepWriter writer(run_->store(), run_->step(step), 0);
      record_samples(writer, job, samples.groups);
      writer.add_metric("speed/rollout", samples.stats.generated_per_second());
      writer.commit({.wall_seconds = samples.stats.seconds,
                     .trained_tokens = {},
                     .generated_tokens = samples.stats.generated_tokens});
    }
    if (!file_.is_open()) return;
    for (size_t g = 0; g < samples.groups.size(); ++g) {
      for (size_t s = 0; s < samples.groups[g].size(); ++s) {
        const JudgedSample& sample = samples.groups[g][s];
        if (sample.rollout.finish == FinishReason::cancelled) continue;
        file_ << sample_json(job.prompts[g], s, sample, job.reward);
      }
    }
    if (!file_.flush()) throw_errno("cannot write the samples");
  }
  template <class Body>
  auto watch(Body&& body) {
    return run_ ? run_->watch(body) : body();
  }
  void finish(bool interrupted) {
    if (run_) run_->finish(interrupted);
  }

 private:
  std::optional<SamplingRun> run_;
  std::ofstream file_;
};

int run_rollout(const RolloutCommand& o, Invocation& cli) {
  RewardRules rules(cli, o.sampling.dtype, true);
  std::optional<CompositeReward> reward;
  if (!o.reward.empty()) reward.emplace(rules.reward(o.reward, "--reward"));
  PromptedModel model(o.source, o.sampling, cli);
  rules.use_context(model.ctx);
  rules.use_policy(model.model, model.chat);
  Sink sink(o, model, cli);
  const std::span<const Prompt> all = model.data.prompts;
  const auto total = static_cast<int64_t>(all.size()) * o.samples;
  Progress progress(cli.log, {.label = "rollout", .total = total, .unit = "sample"});
  int64_t finished = 0, tokens = 0, prompt_tokens = 0, step = 0;
  double seconds = 0.0;
  for (size_t begin = 0; begin < all.size() && !cli.interrupt.requested();) {
    const size_t count = std::min(all.size() - begin, static_cast<size_t>(o.prompts_per_step));
    const SampleJob job{.ctx = model.ctx,
                        .engine = model.engine,
                        .tokenizer = model.model.need_tokenizer(),
                        .prompts = all.subspan(begin, count),
                        .reward = reward ? &*reward : nullptr,
                        .options = model.sample_options(o.sampling, o.samples),
                        .first_prompt = begin,
                        .interrupt = &cli.interrupt,
                        .on_step = [&](const RolloutStats& stats) {
                          progress.update(finished + stats.finished, {},
                                          tokens + stats.generated_tokens);
                        }};
    const JudgedSamples samples = sink.watch([&] { return sample_prompts(job); });
    sink.add(job, samples, ++step);
    finished += samples.stats.finished;
    tokens += samples.stats.generated_tokens;
    prompt_tokens += samples.stats.prompt_tokens;
    seconds += samples.stats.seconds;
    begin += count;
  }
  progress.finish();
  sink.finish(cli.interrupt.requested());
  char text[200];
  std::snprintf(text, sizeof text,
                "%lld samples, %lld prompt tokens, %lld new tokens in %.2f s: %.1f tokens/s\n",
                static_cast<long long>(finished), static_cast<long long>(prompt_tokens),
                static_cast<long long>(tokens), seconds,
                seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0);
  cli.out << text;
  return 0;
}

}  // namespace

void add_rollout(Subcommands& list) {
  auto o = std::make_shared<RolloutCommand>();
  list.add({.name = "rollout",
            .about = "sample completions of a prompt file",
            .examples = "  temper rollout --model DIR --data gsm8k/train.jsonl --samples 8 \\\n"
                        "      --reward math=1,format=0.2 --out runs/rollout\n",
            .options = rollout_options(*o),
            .run = [o](Invocation& cli) { return run_rollout(*o, cli); }});
}

}  // namespace temper
