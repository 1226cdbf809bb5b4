// What rewards that need a model may use of the program they run in.
#pragma once

#include <functional>

#include "core/context.h"
#include "core/interrupt.h"
#include "core/log.h"
#include "data/chat_template.h"
#include "data/tokenizer.h"
#include "model/weights.h"
#include "reward/registry.h"

namespace temper {

// The model that generates. The fields may be filled after the rules are made, before they judge.
struct PolicyInUse {
  const ModelWeights* weights = nullptr;
  const ModelConfig* config = nullptr;
  const Tokenizer* tokenizer = nullptr;
  const ChatTemplate* chat = nullptr;
};

struct EngineAccess {
  std::function<Context&()> context;    // asked for when a rule first judges
  DType dtype = DType::f32;             // of the models that rules load
  const PolicyInUse* policy = nullptr;  // nullptr where nothing generates
  const Interrupt* interrupt = nullptr;
  Logger* log = nullptr;
};

// Adds `rm` and `judge`. They wait for the end of the rollout and load their models when they first
// judge; what `access` refers to outlives their last judgement.
void add_model_rules(RewardRegistry& registry, const EngineAccess& access);

}  // namespace temper
