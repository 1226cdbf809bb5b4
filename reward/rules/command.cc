#include "reward/rules/command.h"

#include <condition_variable>
#include <mutex>
#include <optional>

#include "core/error.h"
#include "core/options.h"
#include "reward/command/worker.h"
#include "reward/text.h"
#include "reward/verdict_json.h"

namespace temper {
namespace {

class CommandRule final : public RewardRule {
 public:
  CommandRule(const std::string& command, int64_t workers, double seconds, bool late_is_error)
      : command_(command), free_(workers), seconds_(seconds), late_is_error_(late_is_error) {}

  Verdict score(const RewardInput& input) const override {
    const std::string request = judgement_request(input);
    if (input.clock != nullptr) input.clock->stop();  // others hold the workers
    std::optional<CommandWorker> worker = take_worker();
    if (input.clock != nullptr) input.clock->start();
    Verdict verdict = verdict_error("cannot start the program");
    try {
      verdict = ask(worker, request, input.clock);
    } catch (const SystemError& error) {
      verdict = verdict_error(error.what());
      worker.reset();
    }
    give_back(std::move(worker));
    return verdict;
  }

  double own_time_limit() const override { return seconds_; }

  std::vector<std::string> take_messages() const override {
    std::lock_guard lock(mutex_);
    return std::exchange(messages_, {});
  }

 private:
  // Asks the worker, and a new one if it ends. It is left empty if it cannot be used again.
  Verdict ask(std::optional<CommandWorker>& worker, const std::string& request,
              const SampleClock* clock) const {
    for (int tries = 1;; ++tries) {
      if (!worker) worker.emplace(command_);
      std::string answer;
      // A sample that the run gives up must not keep its worker from the others.
      const bool hurried = clock != nullptr && clock->seconds_left() < seconds_;
      const double seconds = hurried ? clock->seconds_left() : seconds_;
      const auto outcome = worker->ask(request, seconds, answer);
      const std::string errors = worker->take_errors();
      keep(errors);
      if (outcome == CommandWorker::Outcome::answered) {
        Verdict verdict = read_judgement(answer);
        if (verdict.status == VerdictStatus::error) add_errors(verdict.reason, errors);
        return verdict;
      }
      std::string reason = "the program wrote more than one line an answer";
      if (outcome == CommandWorker::Outcome::ended) {
        reason = "the program ended (" + worker->how_it_ended() + ")";
      }
      worker.reset();
      if (outcome == CommandWorker::Outcome::late && hurried) {
        return verdict_error("not judged within " + option_text(clock->seconds()) + " s");
      }
      if (outcome == CommandWorker::Outcome::late) {
        return late("no answer within " + option_text(seconds_) + " s");
      }
      add_errors(reason, errors);
      if (tries == 2) return verdict_error(reason);
    }
  }

  Verdict late(const std::string& reason) const {
    if (late_is_error_) return verdict_error(reason);
    return {0.0, VerdictStatus::timeout, {}, reason, 0};
  }

  static void add_errors(std::string& reason, const std::string& errors) {
    if (errors.empty()) return;
    const size_t last = errors.size() > 300 ? errors.size() - 300 : 0;
    reason += ": " + errors.substr(last);
  }

  void keep(const std::string& errors) const {
    constexpr size_t kMost = 100;  // a program that writes for every sample would fill the database
    std::lock_guard lock(mutex_);
    if (!errors.empty() && messages_.size() < kMost) messages_.push_back(errors);
  }

  // Waits for a free worker; empty: there is room to start one.
  std::optional<CommandWorker> take_worker() const {
    std::unique_lock lock(mutex_);
    came_back_.wait(lock, [&] { return free_ > 0; });
    --free_;
    if (idle_.empty()) return std::nullopt;
    std::optional<CommandWorker> worker(std::move(idle_.back()));
    idle_.pop_back();
    return worker;
  }

  void give_back(std::optional<CommandWorker> worker) const {
    std::lock_guard lock(mutex_);
    ++free_;
    if (worker) idle_.push_back(std::move(*worker));
    came_back_.notify_one();
  }

  std::string command_;
  mutable std::mutex mutex_;
  mutable std::condition_variable came_back_;
  mutable std::vector<CommandWorker> idle_;
  mutable int64_t free_;
  mutable std::vector<std::string> messages_;
  double seconds_;
  bool late_is_error_;
};

std::unique_ptr<RewardRule> make_command(const RuleParameters& p) {
  const std::string& command = p.text("run");
  const int64_t workers = p.integer("workers");
  const double seconds = p.number("timeout");
  if (command.empty() || workers < 1 || workers > 1024 || seconds <= 0.0) {
    throw UserError({.what = "bad parameters of reward rule 'command'",
                     .expected = "run, 1 to 1024 workers, and a timeout above 0",
                     .found = "run '" + command + "', workers " + option_text(workers) +
                              ", timeout " + option_text(seconds),
                     .hint = "for instance command(run=\"python3 my_rule.py\")=1"});
  }
  return std::make_unique<CommandRule>(command, workers, seconds, p.text("late") == "error");
}

}  // namespace

RuleInfo command_rule() {
  return {"command",
          "a program of yours judges: one JSON line in, one out",
          {{"run", "", "the command line; must be given"},
           {"workers", "4", "how many run at a time"},
           {"timeout", "10", "seconds for a sample"},
           {"late", "error", "the verdict of a sample that takes longer", {"error", "timeout"}}},
          make_command};
}

}  // namespace temper
