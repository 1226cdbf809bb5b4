// A teacher behind an OpenAI-compatible server.
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>

#include "core/error.h"
#include "core/http.h"
#include "core/options.h"
#include "core/stopwatch.h"
#include "distill/teacher.h"
#include "reward/text.h"

namespace temper {
namespace {

std::string text_member(const JsonValue& object, const char* key) {
  const JsonValue* value = find_member(object, key);
  return value != nullptr && value->IsString() ? value->GetString() : "";
}

bool is_worth_another_try(long status) {
  return status == 0 || status == 408 || status == 429 || status >= 500;
}

class ServerTeacher final : public Teacher {
 public:
  ServerTeacher(const TextTeacherJob& job, const ServerOptions& options)
      : job_(job), options_(options), url_(options.url) {
    while (url_.ends_with('/')) url_.pop_back();
    url_ += "/chat/completions";
  }

  JudgedSamples sample(std::span<const Prompt> prompts, size_t first_prompt) override {
    const Stopwatch watch;
    std::vector<std::vector<ServerAnswer>> answers(prompts.size());
    ask_all(prompts, first_prompt, answers);
    JudgedSamples out;
    out.stats.seconds = watch.seconds();
    for (size_t i = 0; i < prompts.size(); ++i) {
      out.groups.push_back(judge_answers(job_, prompts[i], answers[i]));
      for (const JudgedSample& sample : out.groups.back())
        out.stats.generated_tokens += static_cast<int64_t>(sample.rollout.ids.size());
      out.stats.samples += static_cast<int64_t>(answers[i].size());
    }
    out.stats.finished = out.stats.samples;
    return out;
  }

 private:
  // Threads take the next prompt when they are free; the first failure ends all.
  void ask_all(std::span<const Prompt> prompts, size_t first_prompt,
               std::vector<std::vector<ServerAnswer>>& answers) const {
    std::atomic<size_t> next{0};
    std::exception_ptr failure;
    std::mutex mutex;
    const auto work = [&] {
      try {
        for (size_t i = next++; i < prompts.size(); i = next++)
          answers[i] = ask(prompts[i], first_prompt + i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        next = prompts.size();
      }
    };
    const size_t count = std::min(prompts.size(), static_cast<size_t>(options_.connections));
    std::vector<std::thread> threads;
    for (size_t t = 0; t < count; ++t) threads.emplace_back(work);
    for (std::thread& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
  }

  std::string request_body(const Prompt& prompt, size_t number) const {
    std::string body = "{";
    if (!options_.model.empty()) body += "\"model\":" + quote_json(options_.model) + ",";
    body += "\"messages\":[";
    for (size_t m = 0; m < prompt.messages.size(); ++m)
      body += std::string(m == 0 ? "" : ",") + "{\"role\":" + quote_json(prompt.messages[m].role) +
              ",\"content\":" + quote_json(prompt.messages[m].content) + "}";
    return body + "],\"n\":" + std::to_string(job_.samples) +
           ",\"max_tokens\":" + std::to_string(options_.max_new_tokens) +
           ",\"temperature\":" + option_text(options_.temperature) +
           ",\"top_p\":" + option_text(options_.top_p) +
           ",\"seed\":" + std::to_string(options_.seed + static_cast<int64_t>(number)) + "}";
  }

  std::vector<ServerAnswer> ask(const Prompt& prompt, size_t number) const {
    if (prompt.messages.empty())
      throw UserError({.what = "a server is asked in words, but the row holds ids",
                       .where = prompt.id,
                       .expected = "\"prompt\" or \"messages\""});
    HttpRequest request{.url = url_,
                        .body = request_body(prompt, number),
                        .timeout_seconds = options_.timeout_seconds};
    if (!options_.header.empty()) request.headers.push_back(options_.header);
    double wait = options_.backoff_seconds;
    HttpAnswer answer;
    for (int64_t tries = 0;; ++tries, wait *= 2.0) {
      answer = post_json(request);
      if (tries == options_.retries || !is_worth_another_try(answer.status)) break;
      std::this_thread::sleep_for(std::chrono::duration<double>(wait));
    }
    if (answer.status == 0)
      throw SystemError(url_ + " gives no answer: " + answer.failure +
                        "\n  hint:     see that the server runs and that --teacher has its address "
                        "up to /v1; --resume goes on with what was answered");
    if (answer.status < 200 || answer.status > 299)
      throw SystemError(url_ + " answered " + std::to_string(answer.status) + ": " +
                        shortened(trimmed(answer.body), 300));
    return read_server_reply(answer.body, url_);
  }

  TextTeacherJob job_;
  ServerOptions options_;
  std::string url_;
};

}  // namespace

std::vector<ServerAnswer> read_server_reply(const std::string& body, const std::string& where) {
  const Json reply = parse_json(body, where);
  const JsonValue* choices = reply.IsObject() ? find_member(reply, "choices") : nullptr;
  if (choices == nullptr || !choices->IsArray())
    throw UserError({.what = "the server's reply has no choices",
                     .where = where,
                     .expected = "an OpenAI-compatible server: {\"choices\":[{\"message\":...}]}",
                     .found = shortened(body, 120)});
  std::vector<ServerAnswer> answers;
  for (const JsonValue& choice : choices->GetArray()) {
    const JsonValue* message = choice.IsObject() ? find_member(choice, "message") : nullptr;
    if (message == nullptr || !message->IsObject())
      throw UserError({.what = "a choice of the server's reply has no message",
                       .where = where,
                       .found = shortened(to_text(choice), 120)});
    ServerAnswer answer{.text = text_member(*message, "content")};
    std::string reasoning = text_member(*message, "reasoning_content");
    if (reasoning.empty()) reasoning = text_member(*message, "reasoning");
    if (!reasoning.empty()) answer.text = "<think>\n" + reasoning + "\n</think>\n\n" + answer.text;
    answer.truncated = text_member(choice, "finish_reason") == "length";
    answers.push_back(std::move(answer));
  }
  return answers;
}

std::unique_ptr<Teacher> server_teacher(const TextTeacherJob& job, const ServerOptions& options) {
  return std::make_unique<ServerTeacher>(job, options);
}

}  // namespace temper
