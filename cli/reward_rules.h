// The rules that a command line can name: those of reward/ and those that need a model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/load_model.h"
#include "cli/subcommands.h"
#include "model/training/memory_plan.h"
#include "reward/composite.h"
#include "reward/preference/engine_access.h"

namespace temper {

// Rules and rewards of one subcommand. Rules that need a model find here what they may use; it
// outlives the rewards.
class RewardRules {
 public:
  // `generates`: the subcommand has a model that generates, which will be given by use_policy().
  RewardRules(Invocation& cli, DType dtype, bool generates);

  const RewardRegistry& registry() const { return registry_; }
  // The reward of `spec`. Throws UserError naming `where`.
  CompositeReward reward(const std::string& spec, const std::string& where) const;

  // The engine that rules compute on; without one they make their own when they need it.
  void use_context(Context& ctx) { context_ = &ctx; }
  void use_policy(const ModelInUse& model, const ChatTemplate& chat);

 private:
  Context& context();

  Invocation& cli_;
  Context* context_ = nullptr;
  std::unique_ptr<Context> own_;
  PolicyInUse policy_;
  RewardRegistry registry_;
};

// Checks the names of a reward's rules and of their parameters, making none of them (which would
// load models and start programs). Throws UserError naming `where`.
void check_reward_names(const std::string& spec, const std::string& where);

// What the models of a reward take beside all else, for samples of up to `longest` tokens.
std::vector<MemoryPlan::Item> memory_of(const CompositeReward& reward, int64_t longest);

// The same of a reward that is not made yet: of its rules `rm` and `judge`, as far as their models
// are there already. `policy`: the model that generates.
std::vector<MemoryPlan::Item> memory_of(const RewardSpec& spec, const ModelConfig& policy,
                                        DType dtype, int64_t longest);

}  // namespace temper
