#include "cli/reward_rules.h"

#include "core/device.h"

namespace temper {

RewardRules::RewardRules(Invocation& cli, DType dtype, bool generates)
    : cli_(cli), registry_(builtin_rules()) {
  add_model_rules(registry_, {.context = [this]() -> Context& { return context(); },
                              .dtype = dtype,
                              .policy = generates ? &policy_ : nullptr,
                              .interrupt = &cli.interrupt,
                              .log = &cli.log});
}

CompositeReward RewardRules::reward(const std::string& spec, const std::string& where) const {
  return CompositeReward(parse_reward_spec(spec, where), registry_, where);
}

void RewardRules::use_policy(const ModelInUse& model, const ChatTemplate& chat) {
  policy_ = {&model.weights.view, &model.config, &model.need_tokenizer(), &chat};
}

Context& RewardRules::context() {
  if (context_ != nullptr) return *context_;
  if (!own_)
    own_ = std::make_unique<Context>(static_cast<int>(cli_.common.threads),
                                     device_of(cli_.common.device));
  return *own_;
}

}  // namespace temper
