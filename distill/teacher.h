// Where the samples to learn from come from: a checkpoint, recorded traces, or a server.
#pragma once

#include <memory>
#include <string>

#include "core/thread_pool.h"
#include "rollout/sample_prompts.h"

namespace temper {

// Answers prompts. Completions come judged.
class Teacher {
 public:
  virtual ~Teacher() = default;
  // The answers to each prompt; `first_prompt` is the number of prompts[0] in the data.
  // Throws UserError for what cannot be answered, SystemError if a server fails.
  virtual JudgedSamples sample(std::span<const Prompt> prompts, size_t first_prompt) = 0;
};

// A checkpoint on this engine. `job` says how; its prompts and first_prompt are replaced.
std::unique_ptr<Teacher> local_teacher(SampleJob job);

// What a teacher without a local model needs: the tokenizer counts and stores its text.
struct TextTeacherJob {
  const Tokenizer& tokenizer;
  const CompositeReward& reward;
  ThreadPool& pool;  // judges
  int64_t samples = 1;
};

// Answers that were recorded, one list a prompt in the order of the data (read_traces).
std::unique_ptr<Teacher> recorded_teacher(const TextTeacherJob& job,
                                          std::vector<std::vector<std::string>> answers);

// An OpenAI-compatible server (vLLM, SGLang, ...): POST <url>/chat/completions with n samples.
struct ServerOptions {
  std::string url;          // "http://host:8000/v1"
  std::string model = {};   // as the server names it; "" leaves the choice to it
  std::string header = {};  // one more header: "Authorization: Bearer ..."
  int64_t max_new_tokens = 512;
  double temperature = 1.0, top_p = 1.0;
  int64_t seed = 0;
  int64_t connections = 8;  // requests under way together
  int64_t retries = 3;      // of a request that failed, waiting twice as long each time
  double backoff_seconds = 0.5, timeout_seconds = 600.0;
};
std::unique_ptr<Teacher> server_teacher(const TextTeacherJob& job, const ServerOptions& options);

// The answers of one reply: content with its finish_reason, and reasoning_content (as DeepSeek's
// API and vLLM give it) before it between <think> and </think>.
// Throws UserError naming `where` if the reply is no list of choices.
struct ServerAnswer {
  std::string text;
  bool truncated = false;
};
std::vector<ServerAnswer> read_server_reply(const std::string& body, const std::string& where);

// Judges answers as text: ids by the tokenizer, finish by `truncated`.
std::vector<JudgedSample> judge_answers(const TextTeacherJob& job, const Prompt& prompt,
                                        const std::vector<ServerAnswer>& answers);

}  // namespace temper
