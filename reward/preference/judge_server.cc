// A judge behind an OpenAI-compatible server.
#include <algorithm>
#include <atomic>
#include <thread>

#include "core/error.h"
#include "core/http.h"
#include "core/json.h"
#include "core/options.h"
#include "reward/preference/judge_voice.h"
#include "reward/text.h"

namespace temper {
namespace {

std::string request_body(const std::string& model, const std::string& prompt,
                         const JudgeSampling& sampling, int64_t vote) {
  return "{\"model\":" + quote_json(model) +
         ",\"messages\":[{\"role\":\"user\",\"content\":" + quote_json(prompt) +
         "}],\"temperature\":" + option_text(sampling.temperature) +
         ",\"max_tokens\":" + std::to_string(sampling.max_tokens) +
         ",\"seed\":" + std::to_string(sampling.seed + static_cast<uint64_t>(vote)) + "}";
}

// choices[0].message.content.
JudgeAnswer read_answer(const HttpAnswer& answer) {
  if (answer.status == 0) return {.text = {}, .failure = "no answer: " + answer.failure};
  if (answer.status < 200 || answer.status > 299)
    return {.text = {},
            .failure = "the server answered " + std::to_string(answer.status) + ": " +
                       shortened(trimmed(answer.body), 200)};
  try {
    const Json json = parse_json(answer.body, "answer");
    const JsonValue* choices = find_member(json, "choices");
    if (choices != nullptr && choices->IsArray() && !choices->Empty()) {
      const JsonValue* message = find_member((*choices)[0], "message");
      const JsonValue* content = message != nullptr ? find_member(*message, "content") : nullptr;
      if (content != nullptr && content->IsString())
        return {.text = {content->GetString(), content->GetStringLength()}, .failure = {}};
    }
    return {.text = {}, .failure = "the answer has no text: " + shortened(answer.body)};
  } catch (const UserError&) {
    return {.text = {}, .failure = "the answer is not JSON: " + shortened(answer.body)};
  }
}

class ServerVoice final : public JudgeVoice {
 public:
  ServerVoice(const ServerVoiceOptions& options, const Interrupt* interrupt)
      : options_(options), interrupt_(interrupt) {
    constexpr const char* kPath = "/chat/completions";
    while (options_.url.ends_with('/')) options_.url.pop_back();
    if (!options_.url.ends_with(kPath)) options_.url += kPath;
  }

  std::vector<std::vector<JudgeAnswer>> ask(std::span<const std::string> prompts,
                                            const JudgeSampling& sampling) override {
    const auto votes = static_cast<size_t>(sampling.votes);
    std::vector<std::vector<JudgeAnswer>> answers(prompts.size(), std::vector<JudgeAnswer>(votes));
    std::atomic<size_t> next{0};
    const auto work = [&] {
      for (size_t at = next++; at < prompts.size() * votes; at = next++)
        answers[at / votes][at % votes] =
            ask_once(prompts[at / votes], sampling, static_cast<int64_t>(at % votes));
    };
    std::vector<std::thread> threads;
    const size_t wanted = std::min(static_cast<size_t>(options_.parallel), prompts.size() * votes);
    for (size_t t = 1; t < wanted; ++t) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
    return answers;
  }

  std::string identity() const override { return options_.url + "|" + options_.model; }

 private:
  JudgeAnswer ask_once(const std::string& prompt, const JudgeSampling& sampling,
                       int64_t vote) const {
    if (interrupt_ != nullptr && interrupt_->requested())
      return {.text = {}, .failure = "interrupted"};
    HttpRequest request{.url = options_.url,
                        .body = request_body(options_.model, prompt, sampling, vote),
                        .timeout_seconds = options_.timeout};
    if (!options_.header.empty()) request.headers.push_back(options_.header);
    return read_answer(
        post_json(request, {.retries = options_.retries, .backoff_seconds = options_.backoff}));
  }

  ServerVoiceOptions options_;
  const Interrupt* interrupt_;
};

}  // namespace

std::unique_ptr<JudgeVoice> make_server_voice(const ServerVoiceOptions& options,
                                              const Interrupt* interrupt) {
  return std::make_unique<ServerVoice>(options, interrupt);
}

}  // namespace temper
