// The rules that a command line can name: those of reward/ and those that need a model.
#pragma once

#include <memory>
#include <string>

#include "cli/load_model.h"
#include "cli/subcommands.h"
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

}  // namespace temper
