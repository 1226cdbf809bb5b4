#include "cli/replay_reward.h"

#include <cmath>
#include <cstdio>
#include <map>
#include <optional>

#include "cli/inspect_table.h"
#include "cli/jsonl.h"
#include "core/error.h"
#include "core/file_lock.h"
#include "core/progress.h"
#include "data/store_reader.h"

namespace temper {
namespace {

struct StoredSample {
  int64_t id = 0, step = 0, tokens = 0;
  bool truncated = false;
  std::optional<double> reward;  // the total that the optimiser saw
  std::string completion, prompt, gold, key;
  Json row;
};

// What became of one component.
struct ComponentChanges {
  std::map<std::pair<std::string, std::string>, int64_t> statuses;  // (before, now) -> samples
  double before = 0.0, now = 0.0;  // sums of the values that both have
  int64_t both = 0, changed = 0;
};

// What became of the totals of samples that both rewards judge.
struct TotalChanges {
  double before = 0.0, now = 0.0;
  int64_t both = 0, higher = 0, lower = 0;
};

class Rescoring {
 public:
  Rescoring(const RescoreOptions& options, const CompositeReward& reward, Invocation& cli)
      : options_(options),
        reward_(reward),
        cli_(cli),
        database_(open_for_reading(options.db)),
        pool_(static_cast<int>(cli.common.threads)),
        changes_(reward.size()) {
    if (!options.write) return;
    lock_.emplace(database_.path().parent_path() / kLockFile);  // no run is at work there
    store_.emplace(options.db, OpenMode::write);
  }

  int run() {
    const int64_t total =
        database_
            .value<int64_t>("SELECT count(*) FROM samples WHERE ? IN (0, run_id)", options_.run)
            .value_or(0);
    if (total == 0) {
      throw UserError({.what = "no samples to judge again", .where = options_.db});
    }
    Progress progress(cli_.log, {.label = "re-scoring", .total = total, .unit = "sample"});
    while (next_samples()) {
      judge();
      progress.update(count_, {}, 0);
    }
    progress.finish();
    if (!options_.out.empty()) write_result(options_.out, json_, cli_.out);
    options_.json ? write_json() : write_text();
    return 0;
  }

 private:
  // Reads the samples after those judged; a part at a time, so that memory does not depend on the
  // length of the run.
  bool next_samples() {
    samples_.clear();
    database_.for_each_row(
        "SELECT s.id, s.step, s.tokens, s.truncated, s.completion, p.text, p.reference, p.key, "
        "p.data, s.reward FROM samples s JOIN prompts p ON p.id = s.prompt_id "
        "WHERE s.id > ? AND ? IN (0, s.run_id) ORDER BY s.id LIMIT 1000",
        [&](const Statement& row) {
          StoredSample& sample = samples_.emplace_back();
          sample.id = row.get<int64_t>(0);
          sample.step = row.get<int64_t>(1);
          sample.tokens = row.get<int64_t>(2);
          sample.truncated = row.get<bool>(3);
          sample.completion = row.get<std::string>(4);
          sample.prompt = row.get<std::string>(5);
          sample.gold = row.get<std::optional<std::string>>(6).value_or("");
          sample.key = row.get<std::string>(7);
          sample.row = parse_json(row.get<std::string>(8), sample.key);
          sample.reward = row.get<std::optional<double>>(9);
        },
        last_id_, options_.run);
    if (samples_.empty()) return false;
    last_id_ = samples_.back().id;
    count_ += static_cast<int64_t>(samples_.size());
    return true;
  }

  void judge() {
    std::vector<RewardInput> inputs;
    for (const StoredSample& s : samples_) {
      inputs.push_back({.prompt = s.prompt,
                        .completion = s.completion,
                        .gold = s.gold,
                        .row = &s.row,
                        .completion_tokens = s.tokens,
                        .truncated = s.truncated});
    }
    const std::vector<RewardResult> results = score_all(pool_, reward_, inputs);
    for (size_t i = 0; i < results.size(); ++i) compare(samples_[i], results[i]);
  }

  void compare(const StoredSample& sample, const RewardResult& result) {
    const std::vector<RewardRow> rows = read_rewards(database_, sample.id);
    bool listed = false;
    for (size_t c = 0; c < reward_.size(); ++c) {
      const RewardRow* stored = nullptr;
      for (const RewardRow& row : rows) {
        if (row.rule == reward_.name(c)) stored = &row;
      }
      listed |= compare(sample, stored, result.components[c], c);
    }
    compare_totals(sample, result, listed);
    if (options_.out.empty()) return;
    std::string verdict = result_json(reward_, result);
    json_ += "{\"sample\":" + std::to_string(sample.id) + "," + verdict.substr(1) + "\n";
  }

  // Totals change too where a rule is new to the run, so that no verdict of it can have changed.
  void compare_totals(const StoredSample& sample, const RewardResult& now, bool listed) {
    if (!sample.reward || !now.judged) return;
    total_.before += *sample.reward;
    total_.now += now.value;
    ++total_.both;
    const double change = now.value - *sample.reward;
    if (std::abs(change) < 1e-9) return;
    ++(change > 0.0 ? total_.higher : total_.lower);
    if (listed || shown_ >= options_.show) return;
    ++shown_;
    list_.add({sample.id, sample.step, sample.key, std::string("total"), Cell(), *sample.reward,
               Cell(), now.value, std::string()});
  }

  // Whether the verdict has changed.
  bool compare(const StoredSample& sample, const RewardRow* stored, const ComponentVerdict& now,
               size_t component) {
    ComponentChanges& changes = changes_[component];
    const Verdict& verdict = now.verdict;
    if (verdict.status == VerdictStatus::not_asked && stored == nullptr) return false;
    const std::string status(name_of(verdict.status));
    ++changes.statuses[{stored == nullptr ? "new" : stored->status, status}];
    const bool judged = was_judged(verdict.status);
    const bool both = stored != nullptr && stored->value && judged;
    if (both) {
      changes.before += *stored->value;
      changes.now += verdict.value;
      ++changes.both;
    }
    const bool same =
        stored != nullptr && stored->status == status && (!both || *stored->value == verdict.value);
    const bool changed = stored != nullptr && !same;
    if (changed) {
      ++changes.changed;
      if (shown_ < options_.show) show(sample, *stored, verdict, component);
    }
    if (store_ && !same && verdict.status != VerdictStatus::not_asked)
      write(sample, now, component);
    return changed;
  }

  void write(const StoredSample& sample, const ComponentVerdict& now, size_t component) {
    const Verdict& verdict = now.verdict;
    NewReward row{.rule = reward_.name(component),
                  .weight = now.weight,
                  .counted = now.counted,
                  .status = std::string(name_of(verdict.status)),
                  .microseconds = verdict.microseconds};
    if (was_judged(verdict.status)) row.value = verdict.value;
    if (!verdict.extracted.empty()) row.extracted = verdict.extracted;
    if (!verdict.reason.empty()) row.reason = verdict.reason;
    store_->put_reward(sample.id, row);
  }

  void show(const StoredSample& sample, const RewardRow& stored, const Verdict& now,
            size_t component) {
    ++shown_;
    list_.add({sample.id, sample.step, sample.key, reward_.name(component), stored.status,
               stored.value ? Cell(*stored.value) : Cell(), std::string(name_of(now.status)),
               was_judged(now.status) ? Cell(now.value) : Cell(), now.reason});
  }

  void write_json() const {
    cli_.out << "{\"samples\":" << count_ << ",\"components\":[";
    for (size_t c = 0; c < changes_.size(); ++c) {
      const ComponentChanges& changes = changes_[c];
      const double both = static_cast<double>(changes.both);
      cli_.out << (c == 0 ? "\n" : ",\n") << "{\"rule\":" << quote_json(reward_.name(c))
               << ",\"changed\":" << changes.changed
               << ",\"mean_before\":" << json_value(both > 0 ? Cell(changes.before / both) : Cell())
               << ",\"mean_now\":" << json_value(both > 0 ? Cell(changes.now / both) : Cell())
               << ",\"statuses\":[";
      const char* separator = "";
      for (const auto& [statuses, samples] : changes.statuses) {
        cli_.out << separator << "{\"was\":" << quote_json(statuses.first)
                 << ",\"now\":" << quote_json(statuses.second) << ",\"samples\":" << samples << "}";
        separator = ",";
      }
      cli_.out << "]}";
    }
    const double both = static_cast<double>(total_.both);
    cli_.out << "],\n\"total\":{\"higher\":" << total_.higher << ",\"lower\":" << total_.lower
             << ",\"mean_before\":" << json_value(both > 0 ? Cell(total_.before / both) : Cell())
             << ",\"mean_now\":" << json_value(both > 0 ? Cell(total_.now / both) : Cell())
             << "},\n\"changes\":";
    list_.write_json(cli_.out);
    cli_.out << "}\n";
  }

  std::string total_text() const {
    if (total_.both == 0) return "";
    const double both = static_cast<double>(total_.both);
    char text[120];
    std::snprintf(text, sizeof text, "total: %lld higher, %lld lower; mean %.4f -> %.4f\n",
                  static_cast<long long>(total_.higher), static_cast<long long>(total_.lower),
                  total_.before / both, total_.now / both);
    return text;
  }

  void write_text() const {
    std::string text = std::to_string(count_) + " samples judged again\n";
    for (size_t c = 0; c < changes_.size(); ++c) {
      const ComponentChanges& changes = changes_[c];
      text += reward_.name(c) + ": " + std::to_string(changes.changed) + " changed";
      if (changes.both > 0) {
        char means[80];
        std::snprintf(means, sizeof means, "; mean value %.4f -> %.4f",
                      changes.before / static_cast<double>(changes.both),
                      changes.now / static_cast<double>(changes.both));
        text += means;
      }
      text += "\n";
      for (const auto& [statuses, samples] : changes.statuses) {
        text += "  " + statuses.first + " -> " + statuses.second + ": " + std::to_string(samples) +
                "\n";
      }
    }
    cli_.out << text << total_text();
    if (list_.rows().empty()) return;
    cli_.out << "first changes:\n";
    list_.write_text(cli_.out, 60);
  }

  const RescoreOptions& options_;
  const CompositeReward& reward_;
  Invocation& cli_;
  Database database_;
  std::optional<FileLock> lock_;
  std::optional<Store> store_;
  ThreadPool pool_;
  std::vector<StoredSample> samples_;
  int64_t last_id_ = 0, count_ = 0, shown_ = 0;
  std::vector<ComponentChanges> changes_;
  TotalChanges total_;
  std::string json_;
  Table list_{
      {"sample", "step", "prompt", "rule", "was", "value_was", "now", "value_now", "reason"}};
};

}  // namespace

void add_rescore_options(OptionsTable& table, RescoreOptions* o) {
  table.add("run", &o->run, "only this run of the database; 0: all").at_least(0);
  table.add("show", &o->show, "changed samples to list").at_least(0);
  table.add("json", &o->json, "JSON on stdout");
  table.add("write", &o->write,
            "put the new verdicts into the database; the rewards that were used stay");
}

int rescore_database(const RescoreOptions& options, const CompositeReward& reward,
                     Invocation& cli) {
  return Rescoring(options, reward, cli).run();
}

}  // namespace temper
