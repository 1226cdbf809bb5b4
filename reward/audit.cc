#include "reward/audit.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>

namespace temper {
namespace {

std::string wrapped(const std::string& wrapping, const std::string& answer) {
  std::string text = wrapping;
  const size_t hole = text.find("{}");
  if (hole != std::string::npos) text.replace(hole, 2, answer);
  return text;
}

std::string commonest_gold(const std::vector<AuditRow>& rows) {
  std::map<std::string, int64_t> counts;
  for (const AuditRow& row : rows) ++counts[row.gold];
  const auto less = [](const auto& a, const auto& b) { return a.second < b.second; };
  return std::max_element(counts.begin(), counts.end(), less)->first;
}

// A permutation, the same every time, without a fixed point wherever that is possible.
std::vector<size_t> shuffled_places(size_t n) {
  std::vector<size_t> places(n);
  for (size_t i = 0; i < n; ++i) places[i] = i;
  uint64_t state = 0x9E3779B97F4A7C15;
  for (size_t i = n; i-- > 1;) {  // Sattolo's algorithm: one cycle
    state = state * 6364136223846793005u + 1442695040888963407u;
    std::swap(places[i], places[(state >> 33) % i]);
  }
  return places;
}

class Auditor {
 public:
  Auditor(ThreadPool& pool, const CompositeReward& reward, const std::vector<AuditRow>& rows)
      : pool_(pool), reward_(reward), rows_(rows) {}

  // completion_of(i) is the completion tried on row i; an empty optional leaves the row out.
  void add(const std::string& name, const std::string& expected,
           const std::function<std::optional<std::string>(size_t)>& completion_of) {
    std::vector<std::string> completions;
    std::vector<size_t> used;
    for (size_t i = 0; i < rows_.size(); ++i) {
      auto completion = completion_of(i);
      if (!completion) continue;
      completions.push_back(std::move(*completion));
      used.push_back(i);
    }
    std::vector<RewardInput> inputs;
    for (size_t k = 0; k < used.size(); ++k) {
      const AuditRow& row = rows_[used[k]];
      inputs.push_back(
          {.prompt = row.prompt, .completion = completions[k], .gold = row.gold, .row = row.row});
    }
    AuditCase result{name, expected, static_cast<int64_t>(inputs.size()), 0, 0, 0.0};
    double sum = 0.0;
    for (const RewardResult& r : score_all(pool_, reward_, inputs)) {
      bool all_ok = r.judged;
      for (const ComponentVerdict& c : r.components) {
        all_ok = all_ok && (c.verdict.status == VerdictStatus::ok ||
                            c.verdict.status == VerdictStatus::not_asked);
      }
      result.ok += all_ok ? 1 : 0;
      result.unjudged += r.judged ? 0 : 1;
      if (r.judged) sum += r.value;
    }
    const int64_t judged = result.samples - result.unjudged;
    if (judged > 0) result.mean_value = sum / static_cast<double>(judged);
    cases.push_back(std::move(result));
  }

  std::vector<AuditCase> cases;

 private:
  ThreadPool& pool_;
  const CompositeReward& reward_;
  const std::vector<AuditRow>& rows_;
};

}  // namespace

std::vector<AuditCase> audit_reward(ThreadPool& pool, const CompositeReward& reward,
                                    const std::vector<AuditRow>& rows,
                                    const std::string& wrapping) {
  Auditor auditor(pool, reward, rows);
  if (rows.empty()) return {};
  const auto constant = [&](const std::string& answer) {
    return [text = wrapped(wrapping, answer)](size_t) { return std::optional(text); };
  };
  auditor.add("the gold itself", "high",
              [&](size_t i) { return std::optional(wrapped(wrapping, rows[i].gold)); });
  auditor.add("nothing", "low", [](size_t) { return std::optional<std::string>(""); });
  auditor.add("an empty answer", "low", constant(""));
  for (const char* text : {"0", "1", "2", "10", "A"}) {
    auditor.add(std::string("always ") + text, "low", constant(text));
  }
  auditor.add("the commonest gold", "low", constant(commonest_gold(rows)));
  auditor.add("the prompt echoed", "low",
              [&](size_t i) { return std::optional(wrapped(wrapping, rows[i].prompt)); });
  const std::vector<size_t> shuffled = shuffled_places(rows.size());
  auditor.add("the golds shuffled", "low", [&](size_t i) -> std::optional<std::string> {
    const std::string& other = rows[shuffled[i]].gold;
    if (other == rows[i].gold) return std::nullopt;
    return wrapped(wrapping, other);
  });
  auditor.add("the next row's gold", "low", [&](size_t i) -> std::optional<std::string> {
    const std::string& next = rows[(i + 1) % rows.size()].gold;
    if (next == rows[i].gold) return std::nullopt;
    return wrapped(wrapping, next);
  });
  auditor.add("the gold or another", "low", [&](size_t i) -> std::optional<std::string> {
    const std::string& next = rows[(i + 1) % rows.size()].gold;
    if (next == rows[i].gold) return std::nullopt;
    return wrapped(wrapping, rows[i].gold + " or " + next);
  });
  return std::move(auditor.cases);
}

std::string audit_report(const std::vector<AuditCase>& cases) {
  char line[160];
  std::snprintf(line, sizeof line, "%-20s %8s %8s %8s %10s %10s\n", "answer", "samples", "all ok",
                "ok %", "mean", "unjudged");
  std::string text = line;
  for (const AuditCase& c : cases) {
    const double share =
        c.samples == 0 ? 0.0 : 100.0 * static_cast<double>(c.ok) / static_cast<double>(c.samples);
    std::snprintf(line, sizeof line, "%-20s %8lld %8lld %8.2f %10.4f %10lld\n", c.name.c_str(),
                  static_cast<long long>(c.samples), static_cast<long long>(c.ok), share,
                  c.mean_value, static_cast<long long>(c.unjudged));
    text += line;
  }
  return text;
}

}  // namespace temper
