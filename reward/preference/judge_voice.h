// Who answers a judge's prompt: a model on the local engine, or a server.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reward/preference/engine_access.h"

namespace temper {

// How answers are drawn.
struct JudgeSampling {
  int64_t votes = 1;
  double temperature = 0.0;
  int64_t max_tokens = 512;
  uint64_t seed = 0;
  // The answer begins so and ends with its first line, so that a model that would not come to a
  // verdict by itself must. Empty: the answer is the model's own.
  std::string begin = {};
};

// One answer: a text, or in words why there is none.
struct JudgeAnswer {
  std::string text = {};
  std::string failure = {};
};

class JudgeVoice {
 public:
  virtual ~JudgeVoice() = default;
  // answers[q][v]: sampling.votes answers to each prompt. An answer depends on its prompt and the
  // sampling alone, not on what it was asked together with.
  virtual std::vector<std::vector<JudgeAnswer>> ask(std::span<const std::string> prompts,
                                                    const JudgeSampling& sampling) = 0;
  // Names all that an answer depends on besides prompt and sampling; "" if that changes from call
  // to call, so that nothing may be kept.
  virtual std::string identity() const = 0;
  // What it has in memory when it is asked with prompts of up to `prompt_tokens`.
  virtual std::vector<RuleMemory> memory(int64_t prompt_tokens,
                                         const JudgeSampling& sampling) const {
    (void)prompt_tokens, (void)sampling;
    return {};
  }
};

// A model folder, or the policy of the run as it is at the time (`folder` empty).
struct EngineVoiceOptions {
  std::string folder, chat_template;
  int64_t batch = 64;  // answers written together
};
std::unique_ptr<JudgeVoice> make_engine_voice(const EngineVoiceOptions& options,
                                              const EngineAccess& access);

// An OpenAI-compatible server: POST <url>/chat/completions.
struct ServerVoiceOptions {
  std::string url, model, header;
  double timeout = 120.0, backoff = 0.5;
  int64_t retries = 3, parallel = 8;
};
std::unique_ptr<JudgeVoice> make_server_voice(const ServerVoiceOptions& options,
                                              const Interrupt* interrupt);

}  // namespace temper
