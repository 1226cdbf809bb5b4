// temper replay: what a run recorded, done again: its rewards, or its training.
#include <memory>

#include "cli/replay_reward.h"
#include "cli/replay_step.h"
#include "cli/reward_rules.h"
#include "model/training/training_options.h"

namespace temper {
namespace {

struct RewardReplay {
  RescoreOptions rescore;
  std::string reward;
  DType dtype = DType::f32;
};

void add_replay_reward(Subcommands& list) {
  const auto o = std::make_shared<RewardReplay>();
  OptionsTable table;
  table.group("Input");
  table.add("path", &o->rescore.db, "run directory, or its run.db; may be in use by a run")
      .value_name("RUN_DIR")
      .required()
      .positional();
  table.add("reward", &o->reward, "rules and weights: math=1,format=0.2")
      .value_name("SPEC")
      .required();
  add_dtype_option(table, &o->dtype);
  table.group("Output");
  add_rescore_options(table, &o->rescore);
  table.add("out", &o->rescore.out, "all verdicts, a row each").value_name("FILE");
  list.add({.name = "replay reward",
            .about =
                "judge the stored samples of a run by another reward, and show who changed: what "
                "temper reward score --db does too",
            .examples = "  temper replay reward runs/grpo --reward math=1,format=0.2\n",
            .options = std::move(table),
            .run = [o](Invocation& cli) {
              RewardRules rules(cli, o->dtype, false);
              return rescore_database(o->rescore, rules.reward(o->reward, "--reward"), cli);
            }});
}

void add_replay_step(Subcommands& list) {
  const auto o = std::make_shared<ReplayStepOptions>();
  OptionsTable table;
  table.group("Input");
  table.add("path", &o->path, "run directory of temper grpo; may be in use by a run")
      .value_name("RUN_DIR")
      .required()
      .positional();
  table.add("step", &o->step, "the step to train again").at_least(1).required().positional();
  table.add("to", &o->to, "the last step of a range; 0: only the one").at_least(0);
  table.add("run", &o->run, "id of the run in this database; 0 takes the latest").at_least(0);
  table.add("model", &o->model, "the folder that the run began with, if it has moved")
      .value_name("DIR");
  table.group("Output");
  table.add("json", &o->json, "JSON on stdout");
  list.add({.name = "replay step",
            .about = "train a stored step again: the same loss, gradient and weights, bit for bit",
            .examples = "  temper replay step runs/grpo 40\n"
                        "  temper replay step runs/grpo 31 --to 40 --json\n",
            .options = std::move(table),
            .run = [o](Invocation& cli) { return replay_steps(*o, cli); }});
}

}  // namespace

void add_replay(Subcommands& list) {
  add_replay_step(list);
  add_replay_reward(list);
}

}  // namespace temper
