#include "cli/subcommands.h"

#include <algorithm>

#include "core/error.h"

namespace temper {

void add_all_subcommands(Subcommands& list) {
  add_quickstart(list);
  add_rollout(list);
  add_sft(list);
  add_grpo(list);
  add_rejection(list);
  add_distill(list);
  add_r1(list);
  add_reward(list);
  add_reward_model(list);
  add_eval(list);
  add_generate(list);
  add_score(list);
  add_data(list);
  add_inspect(list);
  add_replay(list);
  add_tokenize(list);
  add_model_info(list);
  add_model_init(list);
  add_model_convert(list);
  add_verify_resume(list);
  add_doctor(list);
}

std::string Subcommand::section() const {
  std::string text = name;
  std::replace(text.begin(), text.end(), ' ', '.');
  return text;
}

void Subcommands::add(Subcommand subcommand) {
  for (const Subcommand& other : list_) {
    require(other.name != subcommand.name, "two subcommands are called " + subcommand.name);
  }
  list_.push_back(std::move(subcommand));
}

}  // namespace temper
