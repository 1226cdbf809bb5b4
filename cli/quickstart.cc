// temper quickstart: the main job. A tiny DeepSeek-V3 learns multi-step arithmetic from nothing:
// SFT on demonstrations of which half are wrong, then GRPO; held-out accuracy after each stage.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "cli/run_stage.h"
#include "cli/subcommands.h"
#include "data/store_reader.h"

namespace temper {
namespace fs = std::filesystem;
namespace {

struct QuickstartOptions {
  std::string out = "runs/quickstart";
  int64_t seed = 1;
  int64_t sft_steps = 3200, grpo_steps = 100;
};

using Arguments = std::vector<std::string>;

// Runs one stage as if it had been typed, and shows what was typed.
class Stages {
 public:
  Stages(const QuickstartOptions& o, Invocation& cli) : o_(o), cli_(cli) {}

  void run(Arguments arguments) {
    arguments.insert(arguments.end(), {"--seed", std::to_string(o_.seed)});
    run_as_typed(program(), std::move(arguments), cli_);
    if (cli_.interrupt.requested())
      throw UserError({.what = "interrupted",
                       .hint = "what is finished stays in " + o_.out +
                               "; start again with "
                               "another --out"});
  }

  std::string program() const { return program_of(cli_, "quickstart"); }

  std::string path(const std::string& name) const { return (fs::path(o_.out) / name).string(); }

 private:
  const QuickstartOptions& o_;
  Invocation& cli_;
};

// The task: chains of four numbers up to 9, added and subtracted: 26,000 problems, of which a tenth
// is held out.
const Arguments kTask = {"--chains", "--numbers", "4", "--max-number", "9", "--max-value",
                         "20",       "--ops",     "+-"};
constexpr const char* kReward = "math=1,format=0.2";

Arguments join(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

void make_data(Stages& s) {
  s.run(join({"data", "arithmetic", "--out", s.path("sft.jsonl"), "--count", "40000",
              "--demonstrations", "--solved", "0.5"},
             kTask));
  s.run(join(
      {"data", "arithmetic", "--out", s.path("grpo.jsonl"), "--count", "8000", "--first", "40000"},
      kTask));
  s.run(join(
      {"data", "arithmetic", "--out", s.path("test.jsonl"), "--count", "256", "--split", "test"},
      kTask));
}

void measure(Stages& s, const std::string& model, const std::string& name) {
  s.run({"eval",
         "--model",
         s.path(model),
         "--data",
         s.path("test.jsonl"),
         "--reward",
         kReward,
         "--samples",
         "4",
         "--temperature",
         "1",
         "--top-p",
         "1",
         "--max-new-tokens",
         "64",
         "--batch",
         "128",
         "--task",
         "held-out",
         "--out",
         s.path(name)});
}

void train(Stages& s, const QuickstartOptions& o) {
  measure(s, "init", "eval-init");
  s.run({"sft",
         "--model",
         s.path("init"),
         "--data",
         s.path("sft.jsonl"),
         "--out",
         s.path("sft"),
         "--max-steps",
         std::to_string(o.sft_steps),
         "--batch-size",
         "16",
         "--learning-rate",
         "2e-3",
         "--schedule",
         "cosine",
         "--warmup-steps",
         "50",
         "--mtp-weight",
         "0.1",
         "--balance-alpha",
         "1e-4",
         "--bias-update-speed",
         "0.001",
         "--micro-batch-tokens",
         "2048"});
  measure(s, "sft/model", "eval-sft");
  s.run({"grpo",
         "--model",
         s.path("sft/model"),
         "--data",
         s.path("grpo.jsonl"),
         "--out",
         s.path("grpo"),
         "--reward",
         kReward,
         "--steps",
         std::to_string(o.grpo_steps),
         "--prompts-per-step",
         "32",
         "--samples-per-prompt",
         "8",
         "--max-new-tokens",
         "64",
         "--learning-rate",
         "3e-4",
         "--warmup-steps",
         "3",
         "--kl-coef",
         "0",
         "--rollout-batch",
         "256",
         "--micro-batch-tokens",
         "4096"});
  measure(s, "grpo/model", "eval-grpo");
}

// The last evaluation of a run directory.
struct Measured {
  double pass_at_1 = 0.0, standard_error = 0.0, format_rate = 0.0;
};
Measured read_measured(const std::string& run) {
  Database database = open_for_reading(run);
  const auto number = [&](const std::string& column) {
    return database.value<double>("SELECT " + column + " FROM evals ORDER BY step DESC LIMIT 1")
        .value_or(0.0);
  };
  return {number("pass_at_1"), number("standard_error"), number("format_rate")};
}

// Tokens a second of a run's steps, by the column that counts them.
double tokens_per_second(const std::string& run, const std::string& column) {
  Database database = open_for_reading(run);
  return database.value<double>("SELECT sum(" + column + ") / sum(wall_seconds) FROM steps")
      .value_or(0.0);
}

std::string summary(const Stages& s) {
  std::string text = "\nheld-out arithmetic, 256 problems, 4 samples each, temperature 1\n\n";
  char line[160];
  std::snprintf(line, sizeof line, "  %-12s %20s %10s\n", "", "pass@1", "format");
  text += line;
  for (const auto& [name, run] :
       {std::pair("before SFT", "eval-init"), std::pair("after SFT", "eval-sft"),
        std::pair("after GRPO", "eval-grpo")}) {
    const Measured m = read_measured(s.path(run));
    std::snprintf(line, sizeof line, "  %-12s %9.1f %% +- %.1f %% %8.1f %%\n", name,
                  100 * m.pass_at_1, 100 * m.standard_error, 100 * m.format_rate);
    text += line;
  }
  std::snprintf(line, sizeof line,
                "\nSFT trained %.0f tokens/s; GRPO generated and trained on "
                "%.0f tokens/s\n",
                tokens_per_second(s.path("sft"), "trained_tokens"),
                tokens_per_second(s.path("grpo"), "generated_tokens"));
  text += line;
  const std::string grpo = s.path("grpo");
  const std::string temper = "\n  " + s.program();
  text += "\nlook inside:" + temper + " inspect " + grpo + temper + " inspect curve " + grpo +
          " --metric reward/mean" + temper + " inspect samples " + grpo + " --best 3" + temper +
          " inspect sql " + grpo + " 'SELECT completion, reward FROM samples LIMIT 5'" + temper +
          " generate --model " + s.path("grpo/model") + " --prompt \"8+7-5+2=?\"\n";
  return text;
}

int run_quickstart(const QuickstartOptions& o, Invocation& cli) {
  if (fs::exists(o.out))
    throw UserError({.what = "the folder exists already",
                     .where = o.out,
                     .hint = "name another with --out, or remove it"});
  fs::create_directories(o.out);
  Stages stages(o, cli);
  make_data(stages);
  stages.run({"model", "init", "--preset", "tiny", "--out", stages.path("init")});
  train(stages, o);
  cli.out << summary(stages);
  return 0;
}

}  // namespace

void add_quickstart(Subcommands& list) {
  auto o = std::make_shared<QuickstartOptions>();
  OptionsTable table;
  table.group("Run");
  table.add("out", &o->out, "folder for the data, the models and the databases").value_name("DIR");
  table.add("seed", &o->seed, "of data, weights and sampling").at_least(0);
  table.add("sft-steps", &o->sft_steps, "fewer teach less, so that GRPO gains less").at_least(1);
  table.add("grpo-steps", &o->grpo_steps, "rollouts of GRPO").at_least(1);
  list.add({.name = "quickstart",
            .about = "train a tiny DeepSeek-V3 from nothing on a verifiable task: SFT, then GRPO",
            .options = table,
            .run = [o](Invocation& cli) { return run_quickstart(*o, cli); }});
}

}  // namespace temper
