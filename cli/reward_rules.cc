#include "cli/reward_rules.h"

#include "core/device.h"
#include "core/error.h"

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

void check_reward_names(const std::string& spec, const std::string& where) {
  RewardRegistry registry = builtin_rules();
  const PolicyInUse nobody{};
  add_model_rules(registry, {.context = {}, .dtype = DType::f32, .policy = &nobody});
  for (const RewardComponentSpec& c : parse_reward_spec(spec, where).components)
    RuleParameters(c.rule, registry.find(c.rule, where).parameters, c.parameters, where);
}

std::vector<MemoryPlan::Item> memory_of(const CompositeReward& reward, int64_t longest) {
  std::vector<MemoryPlan::Item> items;
  for (RuleMemory& item : reward.memory(longest))
    items.push_back({std::move(item.what), item.bytes});
  return items;
}

std::vector<MemoryPlan::Item> memory_of(const RewardSpec& spec, const ModelConfig& policy,
                                        DType dtype, int64_t longest) {
  const PolicyInUse generates{.config = &policy};
  RewardRegistry registry;
  add_model_rules(registry, {.context = {}, .dtype = dtype, .policy = &generates});
  std::vector<MemoryPlan::Item> all;
  for (RewardComponentSpec component : spec.components) {
    if (component.rule != "rm" && component.rule != "judge") continue;
    component.gate.clear();
    try {
      const CompositeReward alone({.components = {component}}, registry, "--reward");
      for (MemoryPlan::Item& item : memory_of(alone, longest)) all.push_back(std::move(item));
    } catch (const UserError&) {
      continue;  // an earlier stage will make its model
    }
  }
  return all;
}

}  // namespace temper
