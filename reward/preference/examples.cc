#include "reward/preference/examples.h"

#include <algorithm>
#include <cstdio>

namespace temper {

int64_t PreferenceExample::tokens() const {
  int64_t sum = 0;
  for (const auto& ids : texts) sum += static_cast<int64_t>(ids.size());
  return sum;
}

PreferenceExample make_example(const Tokenizer& tokenizer, const ChatTemplate& chat,
                               const PreferenceRow& row, int64_t max_tokens) {
  PreferenceExample out;
  out.good = row.good;
  for (const std::string& answer : row.answers) {
    ScoredText text = scored_text(tokenizer, chat, row.prompt, answer, max_tokens);
    out.texts.push_back(std::move(text.ids));
    out.answer_tokens.push_back(text.answer_tokens);
    out.cut += text.cut;
  }
  return out;
}

LengthReport length_report(std::span<const PreferenceExample> examples) {
  LengthReport r;
  for (const PreferenceExample& e : examples) {
    for (size_t i = 0; i < e.texts.size(); ++i) {
      ++(e.good[i] ? r.good : r.bad);
      (e.good[i] ? r.good_tokens : r.bad_tokens) += static_cast<double>(e.answer_tokens[i]);
    }
    r.cut += e.cut;
    if (!e.is_pair()) continue;
    ++r.pairs;
    const int64_t more = e.answer_tokens[0] - e.answer_tokens[1];
    r.better_longer += more > 0 ? 1.0 : more == 0 ? 0.5 : 0.0;
  }
  r.good_tokens /= static_cast<double>(std::max<int64_t>(1, r.good));
  r.bad_tokens /= static_cast<double>(std::max<int64_t>(1, r.bad));
  r.better_longer /= static_cast<double>(std::max<int64_t>(1, r.pairs));
  return r;
}

std::string LengthReport::text() const {
  char line[240];
  std::snprintf(line, sizeof line, "answers: good %.0f tokens on average, bad %.0f; %lld texts cut",
                good_tokens, bad_tokens, static_cast<long long>(cut));
  std::string out = line;
  if (pairs > 0) {
    std::snprintf(line, sizeof line, "; the better one is longer in %.1f %% of %lld pairs",
                  100.0 * better_longer, static_cast<long long>(pairs));
    out += line;
  }
  return out;
}

}  // namespace temper
