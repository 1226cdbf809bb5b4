#include "reward/preference/judge_rule.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "reward/preference/judge.h"
#include "reward/preference/judged_part.h"
#include "reward/text.h"

namespace temper {
namespace {

enum class JudgeMode { grade, gold, group };

struct JudgeOptions {
  JudgeMode mode = JudgeMode::grade;
  JudgedPart part = JudgedPart::final;
  bool reference = true;
  double least = 0.5;
  int64_t opponents = 3;
  VoteRule vote = VoteRule::mean;
};

// The judgements that decide one completion: places in the list, and whether it is the `b` there.
struct Share {
  size_t judgement = 0;
  bool is_b = false;
};

// What is judged about all completions of a rollout.
struct Plan {
  std::vector<Verdict> verdicts;           // those that need no judge are decided
  std::vector<bool> open;                  // the others
  std::vector<std::vector<Share>> shares;  // [completion]
  std::vector<std::vector<double>> known;  // [completion] values of pairs that need no judge
  std::vector<Judgement> judgements;
};

class JudgeRule final : public RewardRule {
 public:
  JudgeRule(const JudgeOptions& options, std::unique_ptr<Judge> judge)
      : options_(options), judge_(std::move(judge)) {}

  bool after_rollout() const override { return true; }

  std::vector<RuleMemory> memory(int64_t sample_tokens) const override {
    return judge_->memory(sample_tokens);
  }

  Verdict score(const RewardInput& input) const override {
    return std::move(score_batch({&input, 1}).front());
  }

  std::vector<Verdict> score_batch(std::span<const RewardInput> inputs) const override {
    Plan plan = read(inputs);
    if (options_.mode == JudgeMode::group)
      pair_up(plan, inputs);
    else
      ask_each(plan, inputs);
    const std::vector<JudgedVotes> votes = judge_->judge(plan.judgements);
    for (size_t i = 0; i < inputs.size(); ++i)
      if (plan.open[i]) finish(plan.verdicts[i], plan.shares[i], plan.known[i], votes);
    return std::move(plan.verdicts);
  }

 private:
  // Finds what is to be judged; what is empty is no answer.
  Plan read(std::span<const RewardInput> inputs) const {
    Plan plan;
    plan.verdicts.resize(inputs.size());
    plan.open.assign(inputs.size(), false);
    plan.shares.resize(inputs.size());
    plan.known.resize(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      std::string reason;
      const auto text = judged_text(inputs[i], options_.part, reason);
      if (!text) {
        plan.verdicts[i] = verdict_no_answer(reason);
      } else if (options_.mode == JudgeMode::gold && trimmed(inputs[i].gold).empty()) {
        plan.verdicts[i] = verdict_bad_gold("there is no gold to compare with");
      } else {
        plan.verdicts[i].extracted = std::string(*text);
        plan.open[i] = true;
      }
    }
    return plan;
  }

  std::string reference_of(const RewardInput& input) const {
    const bool wanted = options_.reference && options_.mode != JudgeMode::gold;
    return wanted ? std::string(trimmed(input.gold)) : "";
  }

  void ask_each(Plan& plan, std::span<const RewardInput> inputs) const {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!plan.open[i]) continue;
      plan.shares[i].push_back({plan.judgements.size(), false});
      plan.judgements.push_back(
          {as_question(question_of(inputs[i])), reference_of(inputs[i]), plan.verdicts[i].extracted,
           options_.mode == JudgeMode::gold ? std::string(trimmed(inputs[i].gold)) : ""});
    }
  }

  // Each completion meets the next `opponents` of its prompt, in a ring.
  void pair_up(Plan& plan, std::span<const RewardInput> inputs) const {
    std::map<std::pair<std::string_view, std::string_view>, std::vector<size_t>> groups;
    for (size_t i = 0; i < inputs.size(); ++i)
      groups[{inputs[i].prompt, inputs[i].gold}].push_back(i);
    for (const auto& [key, members] : groups) {
      const size_t n = members.size();
      const size_t rounds = std::min(static_cast<size_t>(options_.opponents), n / 2);
      for (size_t step = 1; step <= rounds; ++step)
        for (size_t at = 0; at < n; ++at) {
          if (2 * step == n && at >= step) break;  // opposite in the ring: each pair once
          meet(plan, inputs, members[at], members[(at + step) % n]);
        }
      if (n == 1 && plan.open[members[0]])
        plan.verdicts[members[0]] = verdict_error("nothing of this prompt to compare with"),
        plan.open[members[0]] = false;
    }
  }

  void meet(Plan& plan, std::span<const RewardInput> inputs, size_t i, size_t k) const {
    if (!plan.open[i] || !plan.open[k]) {  // whatever was said is better than nothing
      if (plan.open[i]) plan.known[i].push_back(1.0);
      if (plan.open[k]) plan.known[k].push_back(1.0);
      return;
    }
    const std::string &a = plan.verdicts[i].extracted, &b = plan.verdicts[k].extracted;
    if (a == b) {
      plan.known[i].push_back(0.5), plan.known[k].push_back(0.5);
      return;
    }
    plan.shares[i].push_back({plan.judgements.size(), false});
    plan.shares[k].push_back({plan.judgements.size(), true});
    plan.judgements.push_back({as_question(question_of(inputs[i])), reference_of(inputs[i]), a, b});
  }

  void finish(Verdict& verdict, const std::vector<Share>& shares, std::vector<double> values,
              const std::vector<JudgedVotes>& votes) const {
    size_t unread = 0, read = 0;
    std::string problem;
    for (const Share& share : shares) {
      const JudgedVotes& one = votes[share.judgement];
      unread += static_cast<size_t>(one.unread);
      if (problem.empty()) problem = one.problem;
      if (one.votes.size() < static_cast<size_t>(one.unread) || one.votes.empty()) continue;
      read += one.votes.size();
      const double value = value_of_votes(one.votes, options_.vote);
      values.push_back(share.is_b ? 1.0 - value : value);
    }
    verdict.extracted = shortened(verdict.extracted, 400);
    if (values.empty()) {
      verdict.status = VerdictStatus::error;
      verdict.reason = problem;
      return;
    }
    verdict.value = value_of_votes(values, VoteRule::mean);
    verdict.status = verdict.value >= options_.least ? VerdictStatus::ok : VerdictStatus::wrong;
    verdict.reason = std::to_string(read) + (read == 1 ? " vote" : " votes") +
                     (unread > 0 ? ", " + std::to_string(unread) + " not read" : "");
  }

  JudgeOptions options_;
  std::unique_ptr<Judge> judge_;  // called on one thread only: after the rollout
};

[[noreturn]] void refuse(const std::string& what, const std::string& hint) {
  throw UserError({.what = what, .where = "reward rule 'judge'", .hint = hint});
}

std::unique_ptr<JudgeVoice> voice_of(const RuleParameters& p, const EngineAccess& access) {
  const std::string url = p.text("url"), model = p.text("model");
  if (!url.empty()) {
    if (!url.starts_with("http://") && !url.starts_with("https://"))
      refuse("url is neither http:// nor https://: '" + url + "'", "url=http://localhost:8000/v1");
    if (p.integer("parallel") < 1 || p.integer("retries") < 0 || p.number("timeout") <= 0 ||
        p.number("backoff") < 0)
      refuse("parallel and timeout must be above 0, retries and backoff 0 or more", "");
    return make_server_voice({.url = url,
                              .model = model,
                              .header = p.text("header"),
                              .timeout = p.number("timeout"),
                              .backoff = p.number("backoff"),
                              .retries = p.integer("retries"),
                              .parallel = p.integer("parallel")},
                             access.interrupt);
  }
  if (model.empty())
    refuse("who is to judge?", "judge(model=DIR), judge(model=policy) or judge(url=...)");
  if (p.integer("batch") < 1) refuse("batch must be 1 or more", "");
  if (model == "policy") {
    if (access.policy == nullptr) refuse("there is no policy here", "name a folder: model=DIR");
    return make_engine_voice({.folder = "", .chat_template = "", .batch = p.integer("batch")},
                             access);
  }
  if (read_model_config(model).num_labels > 0)
    refuse("'" + model + "' is a reward model, which writes no text", "rm(model=" + model + ")");
  return make_engine_voice(
      {.folder = model, .chat_template = p.text("template"), .batch = p.integer("batch")}, access);
}

JudgePrompt prompt_of(JudgePrompt::Kind kind, const std::string& file) {
  return file.empty() ? JudgePrompt(kind) : JudgePrompt(kind, read_file(file), file);
}

std::unique_ptr<RewardRule> make_judge(const RuleParameters& p, const EngineAccess& access) {
  const std::string mode = p.text("mode");
  const JudgeOptions o{.mode = mode == "gold"    ? JudgeMode::gold
                               : mode == "group" ? JudgeMode::group
                                                 : JudgeMode::grade,
                       .part = judged_part_of(p),
                       .reference = p.flag("reference"),
                       .least = p.number("least"),
                       .opponents = p.integer("opponents"),
                       .vote = p.text("vote") == "majority" ? VoteRule::majority : VoteRule::mean};
  const JudgeSampling sampling{.votes = p.integer("votes"),
                               .temperature = p.number("temperature"),
                               .max_tokens = p.integer("max_tokens"),
                               .seed = static_cast<uint64_t>(p.integer("seed")),
                               .begin = p.text("begin")};
  if (!sampling.begin.empty() && !p.text("url").empty())
    refuse("a server's answers begin as they like", "leave out begin, or judge by model=DIR");
  if (sampling.votes < 1 || sampling.max_tokens < 1 || o.opponents < 1 || sampling.temperature < 0)
    refuse("votes, max_tokens and opponents must be 1 or more, temperature 0 or more", "");
  if (sampling.votes > 1 && sampling.temperature == 0.0)
    refuse("several votes at temperature 0 are one vote", "temperature=0.7");
  const auto kind =
      o.mode == JudgeMode::grade ? JudgePrompt::Kind::grade : JudgePrompt::Kind::pairwise;
  return std::make_unique<JudgeRule>(
      o, std::make_unique<Judge>(kind, prompt_of(kind, p.text("prompt")), voice_of(p, access),
                                 sampling, p.text("cache")));
}

}  // namespace

RuleInfo judge_rule(const EngineAccess& access) {
  return {
      "judge",
      "a language model says how good the answer is, after the rollout",
      {{"model", "", "a model folder; policy: the model that generates; or the server's name"},
       {"url", "", "an OpenAI-compatible server, up to /v1"},
       {"mode",
        "grade",
        "a grade from 1 to 10; or compared with the gold, or with the group's others",
        {"grade", "gold", "group"}},
       judged_part_parameter(),
       {"reference", "true", "show the row's gold to the judge where there is one"},
       {"opponents", "3", "mode=group: how many others each answer meets, on either side"},
       {"votes", "1", "answers of the judge to each question"},
       {"vote", "mean", "what votes make", {"mean", "majority"}},
       {"least", "0.5", "the verdict is ok from this value on"},
       {"temperature", "0", "of the judge"},
       {"max_tokens", "512", "of the judge's answer"},
       {"seed", "0", "of the judge's random numbers"},
       {"begin", "", "the local judge's answer begins so, and ends with that line: Verdict:"},
       {"prompt", "",
        "file of a prompt: {question}, {reference}, {mark}, {answer} or {answer_a}, {answer_b}"},
       {"cache", "", "file that keeps the judge's answers; empty: the memory of the run"},
       {"template", "", "chat template; empty: the model's own"},
       {"batch", "64", "answers that the engine writes together"},
       {"header", "", "one more header: \"Authorization: Bearer ...\""},
       {"timeout", "120", "seconds for a request"},
       {"retries", "3", "how often a request is tried again"},
       {"backoff", "0.5", "seconds before the first new try; doubles each time"},
       {"parallel", "8", "requests at a time"}},
      [access](const RuleParameters& p) { return make_judge(p, access); }};
}

}  // namespace temper
