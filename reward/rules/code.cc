#include "reward/rules/code.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "core/error.h"
#include "core/utf8.h"
#include "reward/code/judge.h"
#include "reward/text.h"

namespace temper {
namespace {

constexpr const char* kUnsealed = "off-i-trust-the-model";

struct RuleOptions {
  std::optional<CodeLanguage> language;
  bool raw = false;    // a completion without a fence is the program
  bool share = false;  // partial credit
};

class CodeRule final : public RewardRule {
 public:
  CodeRule(std::unique_ptr<const Sandbox> sandbox, const JudgeOptions& judge,
           const RuleOptions& options)
      : sandbox_(std::move(sandbox)), judge_(*sandbox_, judge), options_(options) {}

  Verdict score(const RewardInput& input) const override {
    std::string reason;
    const std::optional<CodeTask> task = read_code_task(input.row, input.gold, reason);
    if (!task) return verdict_bad_gold(reason);
    if (thinks_without_end(input.prompt, input.completion)) {
      return verdict_no_answer("the thinking is not closed");
    }
    const auto language = options_.language ? options_.language : task->language;
    const auto program = extract_program(input.completion, language, options_.raw, reason);
    if (!program) return verdict_no_answer(reason);
    JudgeResult result = judge_.judge(*task, *program);
    // It may quote what a program wrote, which can be any bytes.
    result.reason = repair_utf8(result.reason);
    return verdict_of(result, shortened(program->text, 500));
  }

 private:
  Verdict verdict_of(const JudgeResult& result, std::string extracted) const {
    if (result.bad_tests) return verdict_bad_gold(result.reason);
    if (result.failed) return verdict_error(result.reason);
    if (result.tests > 0 && result.held == result.tests) {
      return verdict_ok(std::move(extracted), std::to_string(result.tests) + " tests");
    }
    Verdict verdict = verdict_wrong(std::move(extracted), result.reason);
    if (result.timeout) verdict.status = VerdictStatus::timeout;
    if (options_.share && result.tests > 0) {
      verdict.value = static_cast<double>(result.held) / result.tests;
    }
    return verdict;
  }

  std::unique_ptr<const Sandbox> sandbox_;
  CodeJudge judge_;
  RuleOptions options_;
};

double positive(const RuleParameters& parameters, const std::string& name) {
  const double value = parameters.number(name);
  if (value > 0) return value;
  throw UserError({.what = "bad value of '" + name + "' of reward rule 'code'",
                   .where = {},
                   .expected = "a number above 0",
                   .found = parameters.text(name),
                   .hint = {}});
}

void require_program(const std::string& path, const std::string& parameter,
                     const std::string& package) {
  if (access(path.c_str(), X_OK) == 0) return;
  throw UserError({.what = "no such program for the reward rule 'code'",
                   .where = path,
                   .expected = "an executable file",
                   .found = {},
                   .hint = "install " + package + ", or say code(" + parameter + "=PATH)"});
}

JudgeOptions judge_options(const RuleParameters& parameters) {
  JudgeOptions options;
  options.limits.cpu_seconds = positive(parameters, "seconds");
  options.limits.wall_seconds = parameters.text("wall") == "auto"
                                    ? 1.0 + 3.0 * options.limits.cpu_seconds
                                    : positive(parameters, "wall");
  options.limits.memory_bytes = static_cast<int64_t>(positive(parameters, "memory") * (1 << 20));
  const std::string& comparison = parameters.text("compare");
  options.comparison = comparison == "exact"    ? OutputComparison::exact
                       : comparison == "tokens" ? OutputComparison::tokens
                                                : OutputComparison::lines;
  if (parameters.text("tolerance") != "none") {
    options.tolerance = positive(parameters, "tolerance");
  }
  options.all_tests = parameters.text("credit") == "share";
  options.site_packages = parameters.text("packages") == "yes";
  options.warm = parameters.text("start") == "warm";
  options.programs = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  options.at_once = parameters.text("at_once") == "auto"
                        ? std::min(8, options.programs)
                        : static_cast<int>(positive(parameters, "at_once"));
  options.python = parameters.text("python");
  options.compiler = parameters.text("compiler");
  return options;
}

std::unique_ptr<RewardRule> make_code_rule(const RuleParameters& parameters) {
  const JudgeOptions judge = judge_options(parameters);
  RuleOptions options;
  options.language = language_of(parameters.text("language"));
  options.raw = parameters.text("fence") == "optional";
  options.share = parameters.text("credit") == "share";
  require_program(judge.python, "python", "python3");
  if (options.language == CodeLanguage::cpp) require_program(judge.compiler, "compiler", "g++");
  SandboxOptions sandbox{.sealed = parameters.text("sandbox") != kUnsealed, .folders = {}};
  if (judge.python.starts_with("/opt/") || judge.compiler.starts_with("/opt/")) {
    sandbox.folders.push_back("/opt");
  }
  return std::make_unique<CodeRule>(open_code_sandbox(sandbox), judge, options);
}

}  // namespace

std::unique_ptr<const Sandbox> open_code_sandbox(const SandboxOptions& options) {
  std::string fault;
  try {
    auto sandbox = std::make_unique<const Sandbox>(options);
    fault = sandbox->fault();
    if (fault.empty()) return sandbox;
  } catch (const SystemError& failure) {
    fault = failure.what();
  }
  throw UserError({.what = "the reward rule 'code' will not run programs here: they would not be "
                           "sealed",
                   .where = {},
                   .expected = "user, mount, PID, network and IPC namespaces and seccomp (Linux "
                               "5.12 or newer); temper doctor shows them",
                   .found = fault,
                   .hint = std::string("allow user namespaces (in a container: --security-opt "
                                       "seccomp=unconfined), or say code(sandbox=") +
                           kUnsealed + ")"});
}

RuleInfo code_rule() {
  return {
      "code",
      "the program passes the row's tests, run sealed off: 1 or 0, or the share of them",
      {{"language",
        "auto",
        "of the answer; auto: the row's, or the block's",
        {"auto", "python", "cpp"}},
       {"fence",
        "required",
        "whether the program must be in a fenced block",
        {"required", "optional"}},
       {"credit", "all", "1 for all tests only, or the share of tests passed", {"all", "share"}},
       {"compare", "lines", "how an output is compared", {"lines", "exact", "tokens"}},
       {"tolerance", "none", "for decimal numbers in an output, relative above 1"},
       {"seconds", "5", "CPU time of one run"},
       {"wall", "auto", "wall clock of one run in seconds; auto: 1 + 3 x seconds"},
       {"memory", "512", "address space of one run in MiB"},
       {"at_once", "auto", "runs of one answer at the same time; auto: one a core, at most 8"},
       {"packages", "no", "whether Python programs see installed packages", {"no", "yes"}},
       {"start",
        "warm",
        "warm: Python programs are forked, sealed, from a started interpreter; fresh: each starts "
        "one",
        {"warm", "fresh"}},
       {"python", "/usr/bin/python3", "the interpreter, in /usr or /opt"},
       {"compiler", "/usr/bin/g++", "the C++ compiler, in /usr or /opt"},
       {"sandbox", "sealed", "whether programs are sealed off", {"sealed", kUnsealed}}},
      make_code_rule};
}

}  // namespace temper
