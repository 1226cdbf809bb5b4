#include "distill/teacher.h"

#include "core/error.h"
#include "core/stopwatch.h"

namespace temper {
namespace {

class LocalTeacher final : public Teacher {
 public:
  explicit LocalTeacher(SampleJob job) : job_(std::move(job)) {}

  JudgedSamples sample(std::span<const Prompt> prompts, size_t first_prompt) override {
    job_.prompts = prompts;
    job_.first_prompt = first_prompt;
    return sample_prompts(job_);
  }

 private:
  SampleJob job_;
};

class RecordedTeacher final : public Teacher {
 public:
  RecordedTeacher(const TextTeacherJob& job, std::vector<std::vector<std::string>> answers)
      : job_(job), answers_(std::move(answers)) {}

  JudgedSamples sample(std::span<const Prompt> prompts, size_t first_prompt) override {
    const Stopwatch watch;
    JudgedSamples out;
    for (size_t i = 0; i < prompts.size(); ++i) {
      std::vector<ServerAnswer> answers;
      for (const std::string& text : answers_.at(first_prompt + i)) answers.push_back({text});
      out.groups.push_back(judge_answers(job_, prompts[i], answers));
      out.stats.samples += static_cast<int64_t>(answers.size());
    }
    out.stats.finished = out.stats.samples;
    out.stats.seconds = watch.seconds();
    return out;
  }

 private:
  TextTeacherJob job_;
  std::vector<std::vector<std::string>> answers_;
};

}  // namespace

std::unique_ptr<Teacher> local_teacher(SampleJob job) {
  return std::make_unique<LocalTeacher>(std::move(job));
}

std::unique_ptr<Teacher> recorded_teacher(const TextTeacherJob& job,
                                          std::vector<std::vector<std::string>> answers) {
  return std::make_unique<RecordedTeacher>(job, std::move(answers));
}

std::vector<JudgedSample> judge_answers(const TextTeacherJob& job, const Prompt& prompt,
                                        const std::vector<ServerAnswer>& answers) {
  const Json row = parse_json(prompt.extra.empty() ? "{}" : prompt.extra, prompt.id);
  std::vector<JudgedSample> samples(answers.size());
  std::vector<RewardInput> inputs;
  for (size_t s = 0; s < answers.size(); ++s) {
    samples[s].text = answers[s].text;
    samples[s].rollout.ids = job.tokenizer.encode(answers[s].text);
    samples[s].rollout.finish = answers[s].truncated ? FinishReason::length : FinishReason::stop;
    inputs.push_back({.prompt = prompt.text,
                      .completion = samples[s].text,
                      .gold = prompt.gold,
                      .row = &row,
                      .completion_tokens = static_cast<int64_t>(samples[s].rollout.ids.size()),
                      .truncated = answers[s].truncated});
  }
  std::vector<RewardResult> results = score_all(job.pool, job.reward, inputs);
  for (size_t s = 0; s < samples.size(); ++s) samples[s].reward = std::move(results[s]);
  return samples;
}

}  // namespace temper
