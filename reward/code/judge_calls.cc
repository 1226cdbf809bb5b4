// Assertion tests. Two processes that share nothing: a checker, which has the tests and is trusted,
// and a candidate, which has the answer and is not. The checker's calls go to the candidate as
// text, the values it gives come back as text, and both pass through here. So the candidate never
// sees a test, an expected value or a verdict, and what it writes can be nothing but a value.
#include <poll.h>

#include "core/error.h"
#include "core/json.h"
#include "reward/code/judge.h"
#include "reward/code/place.h"
#include "reward/code/scripts.h"
#include "reward/text.h"

namespace temper {
namespace {

constexpr size_t kLongestValue = 4 << 20;

struct Candidate {
  Candidate(const ProgramStarter& python, std::vector<std::string> command, const CodeTask& task,
            const std::string& answer, const RunLimits& limits)
      : channel(kLongestValue),
        program(start(python, std::move(command), task, answer, limits, channel.far_end())) {
    channel.close_far_end();
  }

  static RunningProgram start(const ProgramStarter& python, std::vector<std::string> command,
                              const CodeTask& task, const std::string& answer,
                              const RunLimits& limits, int channel) {
    command.push_back("candidate.py");
    SandboxProgram program{.arguments = std::move(command)};
    program.files = {{"candidate.py", candidate_script()},
                     {"about_classes.py", candidate_classes_script()},
                     {"prompt.py", task.prompt},
                     {"answer.py", answer}};
    program.descriptors = {-1, -1, -1, channel, channel};
    return python.start(program, limits);
  }

  LineChannel channel;
  RunningProgram program;
};

std::string job_of(const CodeTask& task, bool all_tests) {
  std::string tests;
  for (const std::string& test : task.tests) {
    tests += (tests.empty() ? "" : ",") + quote_json(test);
  }
  return std::string("J{\"kind\":\"") +
         (task.kind == CodeTask::Kind::check ? "check" : "assertions") + "\",\"tests\":[" + tests +
         "],\"setup\":" + quote_json(task.setup) + ",\"prompt\":" + quote_json(task.prompt) +
         ",\"entry\":" + quote_json(task.entry) + ",\"reference\":" + quote_json(task.reference) +
         ",\"all\":" + (all_tests ? "false" : "true") + "}";
}

// One job: passes calls and values between the two until the checker has a verdict.
class Conversation {
 public:
  Conversation(Checker& checker, Candidate& candidate, const RunLimits& limits)
      : checker_(checker),
        candidate_(candidate),
        limits_(limits),
        deadline_(deadline_after(limits.wall_seconds)) {}

  JudgeResult hold(const std::string& job, int tests) {
    result_.tests = tests;
    std::string line;
    if (!from_candidate(line)) return std::move(result_);
    if (line.starts_with("[\"!\"")) {
      result_.reason = "the answer does not run: " + shortened(line.substr(5), 160);
      return std::move(result_);
    }
    idle_ = false;
    if (checker_.channel.send(job, deadline_) != LineStatus::line) return checker_failed();
    for (;;) {
      const LineStatus status = checker_.channel.receive(line, deadline_);
      if (status == LineStatus::timeout) return timed_out();
      if (status != LineStatus::line || line.empty()) return checker_failed();
      const std::string_view text = std::string_view(line).substr(1);
      if (line[0] == 'C') {
        if (!call(text)) {
          dismiss();
          return std::move(result_);
        }
      } else {
        return finish(line[0], text);
      }
    }
  }

  // Whether the checker has had no job, or has done it, and can have another.
  bool checker_is_well() const { return idle_ || checker_.finishing; }

 private:
  // Lets the checker give up: its call will have no value. Tests that go on regardless are ended
  // with the checker.
  void dismiss() {
    constexpr int kMostCalls = 100;
    const auto soon = deadline_after(1.0);
    std::string line;
    for (int i = 0; i < kMostCalls && !checker_.finishing; ++i) {
      if (checker_.channel.send("X", soon) != LineStatus::line ||
          checker_.channel.receive(line, soon) != LineStatus::line || line.empty()) {
        return;
      }
      checker_.finishing = line[0] != 'C';
    }
  }

  bool call(std::string_view request) {
    std::string value;
    const LineStatus sent = candidate_.channel.send(request, deadline_);
    if (sent == LineStatus::timeout) return timed_out(), false;
    if (!from_candidate(value)) return false;
    const LineStatus given = checker_.channel.send("R" + value, deadline_);
    if (given == LineStatus::timeout) return timed_out(), false;
    if (given != LineStatus::line) return checker_failed(), false;
    return true;
  }

  // False with the result set if the candidate has no line to give.
  bool from_candidate(std::string& line) {
    const LineStatus status = candidate_.channel.receive(line, deadline_);
    if (status == LineStatus::line) return true;
    if (status == LineStatus::timeout) {
      timed_out();
    } else if (status == LineStatus::too_long) {
      result_.reason = "a value of more than 4 MiB";
    } else {
      candidate_ended();
    }
    return false;
  }

  void candidate_ended() {
    // It may have closed its end and live on. Its files close a little before its end shows.
    constexpr int kMilliseconds = 200;
    pollfd ended{candidate_.program.handle(), POLLIN, 0};
    if (poll(&ended, 1, kMilliseconds) <= 0) {
      result_.reason = "the answer closed its channel";
      return;
    }
    RunResult run;
    run.end = candidate_.program.wait();
    result_.timeout = out_of_cpu_time(run.end, limits_);
    const std::string failure = failure_of(run);
    result_.reason = result_.timeout
                         ? "time limit"
                         : "the answer's process ended" + (failure.empty() ? "" : ": " + failure);
  }

  JudgeResult timed_out() {
    result_.timeout = true;
    result_.reason = "time limit";
    return result_;
  }
  JudgeResult checker_failed() {
    result_.failed = true;
    result_.reason = "the process that runs the tests ended";
    return result_;
  }

  JudgeResult finish(char kind, std::string_view text) {
    if (kind != 'V' && kind != 'B') return checker_failed();
    checker_.finishing = true;
    if (kind == 'B') {
      result_.bad_tests = true;
      result_.reason = shortened(text, 200);
      return std::move(result_);
    }
    const Json verdict = parse_json(text, "verdict");
    const JsonValue& reasons = *find_member(verdict, "reasons");
    result_.tests = find_member(verdict, "tests")->GetInt();
    for (rapidjson::SizeType i = 0; i < reasons.Size(); ++i) {
      if (reasons[i].IsNull()) {
        ++result_.held;
      } else if (result_.reason.empty()) {
        result_.reason = "test " + std::to_string(i + 1) + " of " + std::to_string(result_.tests) +
                         ": " + reasons[i].GetString();
      }
    }
    return std::move(result_);
  }

  Checker& checker_;
  Candidate& candidate_;
  const RunLimits& limits_;
  const std::chrono::steady_clock::time_point deadline_;
  bool idle_ = true;
  JudgeResult result_;
};

}  // namespace

JudgeResult CodeJudge::judge_calls(const CodeTask& task, const std::string& answer) const {
  const Place place(free_);
  // The checker's parent is the thread that started it, and it ends with that thread, which may
  // show only now, and of all that wait: then this thread starts one.
  for (int attempt = 0;; ++attempt) {
    Candidate candidate(python(), python_command(), task, answer, python_limits());
    std::unique_ptr<Checker> checker = checkers_->take(attempt == 0);
    Conversation conversation(*checker, candidate, options_.limits);
    JudgeResult result =
        conversation.hold(job_of(task, options_.all_tests), static_cast<int>(task.tests.size()));
    if (conversation.checker_is_well()) checkers_->give_back(std::move(checker));
    if (!result.failed || attempt == 2) return result;
  }
}

}  // namespace temper
