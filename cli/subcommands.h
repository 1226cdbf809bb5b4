// The list of subcommands, and how to add one:
//
//   1. The stage declares its options struct and table (below cli, so without CLI11):
//        struct SftOptions { std::string model; double learning_rate = 1e-5; ... };
//        OptionsTable sft_options(SftOptions& o) {
//          OptionsTable table;
//          table.group("Input");
//          table.add("model", &o.model, "checkpoint folder").value_name("DIR").required();
//          table.group("Optimiser");
//          table.add("learning-rate", &o.learning_rate, "peak learning rate").above(0);
//          return table;
//        }
//   2. cli/sft.cc defines `void add_sft(Subcommands& list)`: it makes the options with
//      std::make_shared<SftOptions>() and calls list.add({.name = "sft", .about = "...",
//      .options = sft_options(*o), .run = [o](Invocation& cli) { ...; return 0; }}).
//   3. One line in the list below and one in cli/subcommands.cc.
//
// --help, --config FILE.toml, --print-config, ranges, required options and unknown names are
// handled before run() is called. A name of two words ("model info") makes a nested subcommand.
#pragma once

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "core/interrupt.h"
#include "core/log.h"
#include "core/options.h"

namespace temper {

// Options that every subcommand has.
struct CommonOptions {
  int64_t threads = 0;          // 0: one a core
  std::string device = "auto";  // auto, cpu or cuda
  bool quiet = false;
};

// What a subcommand gets besides its own options.
struct Invocation {
  const OptionsTable& options;  // resolved; options.to_json() is stored with the run
  const CommonOptions& common;
  const std::string& command_line;  // as typed, for the run's row
  const Interrupt& interrupt;       // set by SIGINT and SIGTERM: stop after the present step
  Logger& log;                      // stderr
  std::ostream& out;                // stdout: results only
};

struct Subcommand {
  std::string name;           // "grpo", "model info"
  std::string about;          // one line
  std::string examples = {};  // shown at the end of its help, as they stand
  OptionsTable options = {};
  std::function<int(Invocation&)> run;  // the exit code; 0 is success

  // Its section in a configuration file: the name with '.' for ' ' ([model.info]).
  std::string section() const;
};

class Subcommands {
 public:
  // Throws ContractError if the name is taken.
  void add(Subcommand subcommand);
  std::vector<Subcommand>& all() { return list_; }
  const std::vector<Subcommand>& all() const { return list_; }

 private:
  std::vector<Subcommand> list_;
};

// The list, in the order of `temper --help`.
void add_all_subcommands(Subcommands& list);
void add_grpo(Subcommands& list);
void add_sft(Subcommands& list);
void add_data(Subcommands& list);
void add_inspect(Subcommands& list);
void add_model_convert(Subcommands& list);
void add_model_info(Subcommands& list);
void add_model_init(Subcommands& list);
void add_distill(Subcommands& list);
void add_doctor(Subcommands& list);
void add_eval(Subcommands& list);
void add_eval_compare(Subcommands& list);  // by add_eval
void add_generate(Subcommands& list);
void add_quickstart(Subcommands& list);
void add_r1(Subcommands& list);
void add_rejection(Subcommands& list);
void add_replay(Subcommands& list);
void add_reward(Subcommands& list);
void add_reward_model(Subcommands& list);
void add_tokenize(Subcommands& list);
void add_rollout(Subcommands& list);
void add_score(Subcommands& list);
void add_verify_resume(Subcommands& list);

}  // namespace temper
