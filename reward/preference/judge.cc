#include "reward/preference/judge.h"

#include <algorithm>
#include <set>

#include "core/json.h"
#include "core/options.h"
#include "reward/text.h"

namespace temper {

double value_of_votes(const std::vector<double>& votes, VoteRule rule) {
  std::map<double, int64_t> count;
  for (const double vote : votes) ++count[vote];
  int64_t most = 0;
  if (rule == VoteRule::majority)
    for (const auto& [vote, times] : count) most = std::max(most, times);
  double sum = 0.0;
  int64_t n = 0;
  for (const auto& [vote, times] : count) {
    if (times < most) continue;
    const int64_t weight = rule == VoteRule::majority ? 1 : times;
    sum += vote * static_cast<double>(weight), n += weight;
  }
  return n > 0 ? sum / static_cast<double>(n) : 0.0;
}

Judge::Judge(JudgePrompt::Kind kind, JudgePrompt prompt, std::unique_ptr<JudgeVoice> voice,
             const JudgeSampling& sampling, const std::string& cache_file)
    : kind_(kind),
      prompt_(std::move(prompt)),
      voice_(std::move(voice)),
      sampling_(sampling),
      cache_(cache_file) {}

std::vector<RuleMemory> Judge::memory(int64_t sample_tokens) const {
  // The question with one answer or two, and the words around them.
  constexpr int64_t kInstructions = 512;
  const int64_t texts = kind_ == JudgePrompt::Kind::pairwise ? 2 : 1;
  return voice_->memory(texts * sample_tokens + kInstructions, sampling_);
}

std::vector<Judge::Asked> Judge::texts_of(const Judgement& j) const {
  if (kind_ == JudgePrompt::Kind::grade) return {{prompt_.fill(j.question, j.reference, j.a)}};
  return {{prompt_.fill(j.question, j.reference, j.a, j.b)},
          {prompt_.fill(j.question, j.reference, j.b, j.a), true}};
}

void Judge::add_vote(JudgedVotes& votes, const JudgeAnswer& answer, bool swapped) const {
  std::optional<double> vote;
  if (answer.failure.empty()) {
    if (kind_ == JudgePrompt::Kind::pairwise) {
      vote = read_preference_for_a(answer.text);
      if (vote && swapped) vote = 1.0 - *vote;
    } else if (const std::optional<int> grade = read_grade(answer.text)) {
      vote = (*grade - 1) / 9.0;
    }
  }
  if (vote) {
    votes.votes.push_back(*vote);
    return;
  }
  if (votes.unread++ > 0) return;
  const std::string_view text = trimmed(answer.text);
  votes.problem =
      !answer.failure.empty()
          ? answer.failure
          : "no verdict in the judge's answer, which ends with: " +
                std::string(text.substr(text.size() - std::min<size_t>(60, text.size())));
}

bool Judge::all_read(const std::vector<JudgeAnswer>& answers) const {
  JudgedVotes votes;
  for (const JudgeAnswer& answer : answers) add_vote(votes, answer, false);
  return votes.unread == 0;
}

std::map<std::string, std::vector<JudgeAnswer>> Judge::answers_to(
    const std::vector<std::string>& texts) {
  const std::string identity = voice_->identity();
  const std::string how =
      identity + "\n" + std::to_string(sampling_.votes) + " " + option_text(sampling_.temperature) +
      " " + std::to_string(sampling_.max_tokens) + " " + std::to_string(sampling_.seed) + "\n" +
      (sampling_.begin.empty() ? "" : quote_json(sampling_.begin) + "\n");
  std::map<std::string, std::vector<JudgeAnswer>> answers;
  std::vector<std::string> fresh;
  for (const std::string& text : texts) {
    if (!answers.emplace(text, std::vector<JudgeAnswer>{}).second) continue;
    const auto* kept = identity.empty() ? nullptr : cache_.find(JudgeCache::key_of(how + text));
    if (kept == nullptr) {
      fresh.push_back(text);
      continue;
    }
    for (const std::string& answer : *kept) answers[text].push_back({answer, {}});
  }
  if (fresh.empty()) return answers;
  asked_ += static_cast<int64_t>(fresh.size());
  std::vector<std::vector<JudgeAnswer>> said = voice_->ask(fresh, sampling_);
  for (size_t i = 0; i < fresh.size(); ++i) {
    // What could not be read may go better the next time.
    if (!identity.empty() && all_read(said[i])) {
      std::vector<std::string> plain;
      for (const JudgeAnswer& answer : said[i]) plain.push_back(answer.text);
      cache_.add(JudgeCache::key_of(how + fresh[i]), plain);
    }
    answers[fresh[i]] = std::move(said[i]);
  }
  return answers;
}

std::vector<JudgedVotes> Judge::judge(std::span<const Judgement> judgements) {
  std::vector<std::vector<Asked>> asked;
  std::vector<std::string> texts;
  for (const Judgement& judgement : judgements) {
    asked.push_back(texts_of(judgement));
    for (const Asked& one : asked.back()) texts.push_back(one.text);
  }
  const auto answers = answers_to(texts);
  std::vector<JudgedVotes> out(judgements.size());
  for (size_t j = 0; j < judgements.size(); ++j) {
    size_t read = 0;
    bool one_sided = false;
    for (const Asked& one : asked[j]) {
      for (const JudgeAnswer& answer : answers.at(one.text)) add_vote(out[j], answer, one.swapped);
      one_sided = one_sided || out[j].votes.size() == read;
      read = out[j].votes.size();
    }
    // A preference that was read in one order only may be one for the order.
    if (one_sided) out[j].votes.clear();
  }
  return out;
}

}  // namespace temper
