// Judgements: what is asked about which answers, and how the votes become a value.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reward/preference/judge_cache.h"
#include "reward/preference/judge_prompt.h"
#include "reward/preference/judge_voice.h"

namespace temper {

// How the votes of a judgement become its value.
enum class VoteRule {
  mean,
  majority,  // the commonest vote; the mean of several that are as common (V3's maj@n)
};
double value_of_votes(const std::vector<double>& votes, VoteRule rule);

// One question to the judge: grade `a`, or compare it with `b`.
struct Judgement {
  std::string question, reference, a, b;
};

// The votes on one question, each in [0, 1]: the grade, or the preference for `a`.
struct JudgedVotes {
  std::vector<double> votes;
  int64_t unread = 0;   // answers without a verdict
  std::string problem;  // of the first of them
};

// Puts questions to a voice, reads the verdicts and keeps the answers. Used by one thread.
class Judge {
 public:
  Judge(JudgePrompt::Kind kind, JudgePrompt prompt, std::unique_ptr<JudgeVoice> voice,
        const JudgeSampling& sampling, const std::string& cache_file);

  // Grades, or compares each pair in both orders; what was asked before, or is asked twice, is
  // asked once. All new questions go to the voice together.
  std::vector<JudgedVotes> judge(std::span<const Judgement> judgements);

  // What the voice has in memory when it judges samples of up to `sample_tokens`.
  std::vector<RuleMemory> memory(int64_t sample_tokens) const;

  int64_t asked() const { return asked_; }  // prompts that went to the voice so far

 private:
  // A text for the judge; `swapped`: its A is the judgement's b.
  struct Asked {
    std::string text;
    bool swapped = false;
  };
  std::vector<Asked> texts_of(const Judgement& judgement) const;
  std::map<std::string, std::vector<JudgeAnswer>> answers_to(const std::vector<std::string>& texts);
  void add_vote(JudgedVotes& votes, const JudgeAnswer& answer, bool swapped) const;
  bool all_read(const std::vector<JudgeAnswer>& answers) const;

  JudgePrompt::Kind kind_;
  JudgePrompt prompt_;
  std::unique_ptr<JudgeVoice> voice_;
  JudgeSampling sampling_;
  JudgeCache cache_;
  int64_t asked_ = 0;
};

}  // namespace temper
