// A judge on the local engine.
#include <algorithm>
#include <filesystem>

#include "core/device.h"
#include "core/error.h"
#include "core/hash.h"
#include "model/checkpoint/hf_folder.h"
#include "model/training/memory_plan.h"
#include "reward/preference/judge_voice.h"
#include "rollout/engine.h"
#include "rollout/sample_prompts.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

// A model of the judge's own.
struct Loaded {
  LoadedModel model;
  Tokenizer tokenizer;
  ChatTemplate chat;
};

class EngineVoice final : public JudgeVoice {
 public:
  EngineVoice(const EngineVoiceOptions& options, const EngineAccess& access)
      : options_(options), access_(access) {}

  std::vector<std::vector<JudgeAnswer>> ask(std::span<const std::string> prompts,
                                            const JudgeSampling& sampling) override {
    const PolicyInUse model = model_in_use();
    RolloutEngine engine(access_.context(), *model.weights, *model.config,
                         {.max_samples = options_.batch});
    std::vector<std::vector<JudgeAnswer>> answers(prompts.size());
    std::vector<RolloutRequest> requests;
    std::vector<size_t> place;
    for (size_t q = 0; q < prompts.size(); ++q) {
      RolloutRequest request = request_of(prompts[q], sampling, model);
      const auto length = static_cast<int64_t>(request.prompt.size());
      if (length >= engine.max_length()) {
        const std::string why = "the judge's prompt has " + std::to_string(length) +
                                " tokens, its model reads " + std::to_string(engine.max_length());
        answers[q].assign(static_cast<size_t>(sampling.votes), {.text = {}, .failure = why});
        continue;
      }
      request.max_new_tokens = std::min(sampling.max_tokens, engine.max_length() - length);
      requests.push_back(std::move(request));
      place.push_back(q);
    }
    const RolloutOutput output = engine.run(requests, {.interrupt = access_.interrupt});
    for (size_t r = 0; r < requests.size(); ++r)
      for (const SampleResult& sample : output.samples[r])
        answers[place[r]].push_back(
            answer_of(sample, requests[r].stop_ids, *model.tokenizer, sampling.begin));
    return answers;
  }

  // The files' names, sizes and times stand for the weights: reading them again would take longer
  // than many a judgement.
  std::string identity() const override {
    if (options_.folder.empty()) return "";
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(options_.folder))
      if (entry.is_regular_file())
        files.push_back(entry.path().filename().string() + ":" + std::to_string(entry.file_size()) +
                        ":" + std::to_string(entry.last_write_time().time_since_epoch().count()));
    std::sort(files.begin(), files.end());
    std::string text = fs::canonical(options_.folder).string() + "|" + options_.chat_template +
                       "|" + std::string(name_of(access_.dtype));
    for (const std::string& file : files) text += "|" + file;
    return text;
  }

  std::vector<RuleMemory> memory(int64_t prompt_tokens,
                                 const JudgeSampling& sampling) const override {
    const bool own = !options_.folder.empty();
    if (!own && (access_.policy == nullptr || access_.policy->config == nullptr)) return {};
    const ModelConfig config = own ? read_model_config(options_.folder) : *access_.policy->config;
    const int64_t tokens =
        std::min(prompt_tokens + sampling.max_tokens, config.max_position_embeddings);
    std::vector<RuleMemory> all;
    for (const MemoryPlan::Item& item :
         estimate_generation(config, {.dtype = access_.dtype,
                                     .sequences = options_.batch,
                                     .tokens = tokens,
                                     .cache_limit = EngineLimits{}.cache_bytes})) {
      if (own || item.name != "weights")  // the policy's are there already
        all.push_back({item.name, item.bytes});
    }
    return all;
  }

 private:
  PolicyInUse model_in_use() {
    if (options_.folder.empty()) {
      require(access_.policy != nullptr && access_.policy->weights != nullptr, "a policy to judge");
      return *access_.policy;
    }
    if (!loaded_) {
      LoadedModel model = load_model(access_.context(), options_.folder, access_.dtype);
      Tokenizer tokenizer(options_.folder);
      ChatTemplate chat = ChatTemplate::choose(options_.chat_template, tokenizer);
      loaded_ =
          std::make_unique<Loaded>(Loaded{std::move(model), std::move(tokenizer), std::move(chat)});
    }
    return {&loaded_->model.weights.view, &loaded_->model.config, &loaded_->tokenizer,
            &loaded_->chat};
  }

  // The key of the random numbers comes from the prompt, so that its place does not matter.
  static RolloutRequest request_of(const std::string& prompt, const JudgeSampling& sampling,
                                   const PolicyInUse& model) {
    RolloutRequest request;
    request.prompt =
        encode_segments(*model.tokenizer,
                        model.chat->render({{"user", prompt}}, {.add_generation_prompt = true}))
            .ids;
    const std::vector<int32_t> begin = model.tokenizer->encode(sampling.begin);
    request.prompt.insert(request.prompt.end(), begin.begin(), begin.end());
    request.samples = sampling.votes;
    request.sampling = {.temperature = sampling.temperature};
    request.stop_ids = stop_ids_of(*model.tokenizer, model.chat->stop_id());
    const uint64_t hash = fnv1a(prompt);
    request.key = {.seed = sampling.seed,
                   .step = static_cast<uint32_t>(hash >> 40),
                   .prompt = static_cast<uint32_t>(hash)};
    return request;
  }

  static JudgeAnswer answer_of(const SampleResult& sample, const std::vector<int32_t>& stops,
                               const Tokenizer& tokenizer, const std::string& begin) {
    if (sample.finish == FinishReason::cancelled) return {.text = {}, .failure = "interrupted"};
    std::vector<int32_t> ids;
    for (const int32_t id : sample.ids)
      if (std::find(stops.begin(), stops.end(), id) == stops.end()) ids.push_back(id);
    std::string text = tokenizer.decode(ids);
    if (!begin.empty()) text = begin + text.substr(0, text.find('\n'));
    return {.text = std::move(text), .failure = {}};
  }

  EngineVoiceOptions options_;
  EngineAccess access_;
  std::unique_ptr<Loaded> loaded_;
};

}  // namespace

std::unique_ptr<JudgeVoice> make_engine_voice(const EngineVoiceOptions& options,
                                              const EngineAccess& access) {
  return std::make_unique<EngineVoice>(options, access);
}

}  // namespace temper
