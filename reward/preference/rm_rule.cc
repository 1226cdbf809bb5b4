#include "reward/preference/rm_rule.h"

#include <algorithm>
#include <memory>

#include "core/error.h"
#include "core/options.h"
#include "model/training/memory_plan.h"
#include "model/training/sequence_scores.h"
#include "reward/preference/judged_part.h"
#include "reward/preference/loss.h"
#include "reward/preference/reward_model.h"
#include "reward/preference/scored_text.h"
#include "reward/text.h"

namespace temper {
namespace {

struct RmOptions {
  std::string model, chat_template;
  JudgedPart part = JudgedPart::final;
  bool squash = true;
  double center = 0.0, scale = 1.0, floor = -10.0, least = 0.5;
  int64_t max_tokens = 0, batch_tokens = 4096;
};

// A reward model in memory, with its tokenizer.
struct Loaded {
  Context& ctx;
  LoadedModel model;
  Tokenizer tokenizer;
  ChatTemplate chat;
};

class RmRule final : public RewardRule {
 public:
  RmRule(const RmOptions& options, const ModelConfig& config, const EngineAccess& access)
      : options_(options), config_(config), access_(access) {}

  bool after_rollout() const override { return true; }

  Verdict score(const RewardInput& input) const override {
    return std::move(score_batch({&input, 1}).front());
  }

  std::vector<RuleMemory> memory(int64_t sample_tokens) const override {
    int64_t longest = std::min(sample_tokens, config_.max_position_embeddings);
    if (options_.max_tokens > 0) longest = std::min(longest, options_.max_tokens);
    std::vector<RuleMemory> all;
    for (const MemoryPlan::Item& item :
         estimate_scoring(config_, access_.dtype, std::max(longest, options_.batch_tokens)))
      all.push_back({item.name, item.bytes});
    return all;
  }

  std::vector<Verdict> score_batch(std::span<const RewardInput> inputs) const override {
    const Loaded& loaded = load();
    const int64_t context = loaded.model.config.max_position_embeddings;
    const int64_t most = options_.max_tokens > 0 ? std::min(options_.max_tokens, context) : context;
    std::vector<Verdict> verdicts(inputs.size());
    std::vector<std::vector<int32_t>> texts;
    std::vector<size_t> place;
    for (size_t i = 0; i < inputs.size(); ++i) {
      std::string reason;
      const auto text = judged_text(inputs[i], options_.part, reason);
      if (!text) {
        verdicts[i] = verdict_no_answer(reason);
        verdicts[i].value = lowest();
        continue;
      }
      ScoredText scored =
          scored_text(loaded.tokenizer, loaded.chat, question_of(inputs[i]), *text, most);
      verdicts[i].extracted = shortened(*text, 400);
      verdicts[i].reason = scored.cut ? ", cut to " + std::to_string(most) + " tokens" : "";
      texts.push_back(std::move(scored.ids));
      place.push_back(i);
    }
    const std::vector<double> scores = sequence_scores(
        loaded.ctx, loaded.model.weights.view, loaded.model.config, texts, options_.batch_tokens);
    for (size_t k = 0; k < scores.size(); ++k) finish(verdicts[place[k]], scores[k]);
    return verdicts;
  }

 private:
  double lowest() const { return options_.squash ? 0.0 : options_.floor; }

  void finish(Verdict& verdict, double score) const {
    if (!(score - score == 0.0)) {
      verdict = verdict_error("the score is not a number");
      return;
    }
    const double z = (score - options_.center) / options_.scale;
    verdict.value = options_.squash ? sigmoid(z) : std::max(z, options_.floor);
    verdict.status = verdict.value >= options_.least ? VerdictStatus::ok : VerdictStatus::wrong;
    verdict.reason = "score " + option_text(static_cast<float>(score)) + verdict.reason;
  }

  const Loaded& load() const {
    if (loaded_) return *loaded_;
    Context& ctx = access_.context();
    LoadedModel model = load_reward_model(ctx, options_.model, access_.dtype);
    Tokenizer tokenizer(options_.model);
    ChatTemplate chat = ChatTemplate::choose(options_.chat_template, tokenizer);
    loaded_ = std::make_unique<Loaded>(
        Loaded{ctx, std::move(model), std::move(tokenizer), std::move(chat)});
    return *loaded_;
  }

  RmOptions options_;
  ModelConfig config_;
  EngineAccess access_;
  mutable std::unique_ptr<Loaded> loaded_;  // called on one thread only: after the rollout
};

std::unique_ptr<RewardRule> make_rm(const RuleParameters& p, const EngineAccess& access) {
  RmOptions o{.model = p.text("model"),
              .chat_template = p.text("template"),
              .part = judged_part_of(p),
              .squash = p.text("value") == "sigmoid",
              .center = p.number("center"),
              .scale = p.number("scale"),
              .floor = p.number("floor"),
              .least = p.number("least"),
              .max_tokens = p.integer("max_tokens"),
              .batch_tokens = p.integer("batch_tokens")};
  if (o.model.empty() || o.scale <= 0.0 || o.max_tokens < 0 || o.batch_tokens < 1)
    throw UserError({.what = "bad parameters of reward rule 'rm'",
                     .expected = "a model folder, a scale above 0, max_tokens of 0 or more, and "
                                 "batch_tokens of 1 or more",
                     .found = "model '" + o.model + "'",
                     .hint = "for instance rm(model=runs/rm/model)=1"});
  // What is wrong with the folder is said now, not when a rollout is done.
  const ModelConfig config = read_model_config(o.model);
  if (config.num_labels == 0) refuse_language_model(o.model);
  return std::make_unique<RmRule>(o, config, access);
}

}  // namespace

RuleInfo rm_rule(const EngineAccess& access) {
  return {"rm",
          "a reward model scores the answer, after the rollout",
          {{"model", "", "folder of a reward model (temper reward-model); must be given"},
           judged_part_parameter(),
           {"value",
            "sigmoid",
            "1/(1+e^-z) or z itself, for z = (score - center) / scale",
            {"sigmoid", "score"}},
           {"center", "0", "score that counts as neither good nor bad"},
           {"scale", "1", "what a score is divided by"},
           {"floor", "-10", "value=score: the least value, which is also that of no answer"},
           {"least", "0.5", "the verdict is ok from this value on"},
           {"max_tokens", "0", "of a question with its answer; 0: what the model can read"},
           {"batch_tokens", "4096", "tokens that go through the model at once"},
           {"template", "", "chat template; empty: the model's own"}},
          [access](const RuleParameters& p) { return make_rm(p, access); }};
}

}  // namespace temper
