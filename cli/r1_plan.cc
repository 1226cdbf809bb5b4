#include "cli/r1_plan.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>

#include "cli/command_line.h"
#include "cli/reward_rules.h"
#include "cli/run_stage.h"
#include "core/error.h"
#include "core/progress.h"
#include "model/config.h"
#include "model/training/memory_plan.h"
#include "reward/spec.h"

namespace temper {
namespace {

namespace fs = std::filesystem;

// The resolved options of a stage, by flag.
class Values {
 public:
  explicit Values(OptionsTable& table) : table_(table) {}
  bool has(const char* flag) const { return table_.find_flag(flag) != nullptr; }
  std::vector<std::string> texts(const char* flag) const {
    return has(flag) ? table_.find_flag(flag)->values() : std::vector<std::string>{};
  }
  std::string text(const char* flag) const {
    const std::vector<std::string> all = texts(flag);
    return all.empty() ? "" : all[0];
  }
  double number(const char* flag) const { return has(flag) ? option_real(text(flag)) : 0.0; }

 private:
  OptionsTable& table_;
};

// Lines of the files, where they are there.
std::optional<double> rows_of(const std::vector<std::string>& files) {
  double rows = 0;
  for (const std::string& file : files) {
    std::ifstream in(file);
    if (!in) return std::nullopt;
    for (std::string line; std::getline(in, line);) rows += !line.empty();
  }
  if (files.empty()) return std::nullopt;
  return rows;
}

// What a stage works through.
struct Work {
  std::string text;
  double longest = 0;      // tokens of a sequence
  bool reference = false;  // a second copy of the weights
  bool trains = false;
};

std::string count(double n) {
  if (n < 1e9) return count_text(n);
  char text[32];
  std::snprintf(text, sizeof text, "%.1fG", n / 1e9);
  return text;
}

std::string supervised_work(const RecipeStage& stage, const Values& v,
                            const std::vector<std::string>& files, Work& work) {
  work.trains = true;
  work.longest = v.number("max-tokens");
  const double batch = v.number("batch-size"), fixed = v.number("max-steps");
  std::optional<double> rows = rows_of(files);
  if (!rows && stage.plan_samples > 0) rows = stage.plan_samples;
  const double mean = stage.plan_tokens > 0 ? stage.plan_tokens : work.longest;
  const std::string at_most = stage.plan_tokens > 0 ? "about " : "at most ";
  if (fixed > 0)
    return count(fixed) + " steps of " + count(batch) + " samples, " + at_most +
           count(fixed * batch * mean) + " tokens";
  if (!rows) return count(v.number("epochs")) + " epochs of a file that is not there yet";
  const double samples = v.number("epochs") * *rows;
  return count(v.number("epochs")) + " epochs of " + count(*rows) +
         " samples: " + count(std::max(1.0, samples / batch)) + " steps of " + count(batch) + ", " +
         at_most + count(samples * mean) + " tokens";
}

std::string sampling_work(const RecipeStage& stage, const Values& v) {
  std::optional<double> rows = rows_of(v.texts("data"));
  if (!rows && stage.plan_samples > 0) rows = stage.plan_samples;
  const double limit = v.number("limit");
  if (rows && limit > 0) rows = std::min(*rows, limit);
  const double samples = v.number("samples");
  const bool known = stage.plan_tokens > 0;
  const double tokens = known ? stage.plan_tokens : v.number("max-new-tokens");
  if (!rows) return count(samples) + " answers to each prompt of a file that is not there yet";
  return count(*rows) + " prompts, " + count(samples) +
         " answers each: " + (known ? "about " : "at most ") + count(*rows * samples * tokens) +
         " tokens";
}

Work work_of(const RecipeStage& stage, const Values& v) {
  Work work;
  if (stage.run == "sft") {
    work.text = supervised_work(stage, v, v.texts("data"), work);
  } else if (stage.run == "distill") {
    work.text = sampling_work(stage, v) + "; then " + supervised_work(stage, v, {}, work);
  } else if (stage.run == "rejection" || stage.run == "eval" || stage.run == "rollout") {
    work.text = sampling_work(stage, v);
  } else if (stage.run == "grpo") {
    work.trains = true;
    work.reference = v.number("kl-coef") > 0;
    work.longest = v.number("max-prompt-tokens") + v.number("max-new-tokens");
    const double samples = v.number("prompts-per-step") * v.number("samples-per-prompt");
    const double tokens = stage.plan_tokens > 0 ? stage.plan_tokens : v.number("max-new-tokens");
    work.text = count(v.number("steps")) + " rollouts of " + count(samples) + " samples, " +
                count(v.number("mini-batches")) + " updates each, " +
                (stage.plan_tokens > 0 ? "about " : "at most ") +
                count(v.number("steps") * samples * tokens) + " tokens";
  }
  return work;
}

// The model by which memory is planned: the stage's folder if it is there, else the preset.
std::optional<ModelConfig> config_of(const Recipe& recipe, const RecipeStage& stage,
                                     const Values& v) {
  const std::string folder = v.has("student") ? v.text("student") : v.text("model");
  if (!folder.empty() && fs::exists(fs::path(folder) / "config.json"))
    return read_model_config(folder);
  const std::string& preset =
      stage.plan_architecture.empty() ? recipe.architecture : stage.plan_architecture;
  if (preset.empty() || preset == "none") return std::nullopt;
  return preset_config(preset);
}

DType dtype_of(const Values& v) {
  return v.text("dtype") == "bf16"  ? DType::bf16
         : v.text("dtype") == "f16" ? DType::f16
         : v.text("dtype") == "f64" ? DType::f64
                                    : DType::f32;
}

std::string size_text(int64_t bytes) {
  const double mebibytes = static_cast<double>(bytes) / (1 << 20);
  char text[32];
  if (mebibytes < 1024)
    std::snprintf(text, sizeof text, "%.1f MiB", mebibytes);
  else
    std::snprintf(text, sizeof text, "%.1f GiB", mebibytes / 1024);
  return text;
}

// The models of a stage's rewards that train beside it. A teacher's are gone before its student
// learns.
std::vector<MemoryPlan::Item> stage_rewards(const ModelConfig& config, const Values& v,
                                            int64_t longest) {
  std::vector<MemoryPlan::Item> all;
  if (v.has("student")) return all;
  for (const char* flag : {"reward", "process-reward"}) {
    if (v.text(flag).empty()) continue;
    const RewardSpec spec = parse_reward_spec(v.text(flag), std::string("--") + flag);
    for (MemoryPlan::Item& item : memory_of(spec, config, dtype_of(v), longest))
      all.push_back(std::move(item));
  }
  return all;
}

std::string memory_line(const ModelConfig& config, const Values& v, const Work& work) {
  TrainOptions options;
  options.recompute = v.text("recompute") == "true";
  options.mtp_weight = v.number("mtp-weight");
  options.optimizer.bf16_moments = v.text("moments") == "bf16";
  const auto micro_batch = static_cast<int64_t>(v.number("micro-batch-tokens"));
  const auto longest = static_cast<int64_t>(work.longest);
  const MemoryPlan plan = estimate_training(
      config, options,
      {.dtype = dtype_of(v),
       .longest_sequence = longest,
       .micro_batch_tokens = micro_batch > 0 ? micro_batch : std::max<int64_t>(longest, 1),
       .reference = work.reference,
       .others = stage_rewards(config, v, longest)});
  std::string text = "    memory   ";
  for (const MemoryPlan::Item& item : plan.items)
    text += item.name + " " + size_text(item.bytes) + ", ";
  return text + "in all " + size_text(plan.total_bytes()) + " in one copy\n";
}

std::string inputs_line(const std::vector<StageInput>& inputs) {
  std::string text;
  for (const StageInput& input : inputs)
    text += (text.empty() ? "" : ", ") + input.flag + " " + input.path +
            (input.from.empty() ? " (from outside)" : " (of " + input.from + ")");
  return text.empty() ? "" : "    reads    " + text + "\n";
}

// The line of the recipe that a complaint about a stage's options is about.
int line_of(const RecipeStage& stage, const std::string& where) {
  const std::string flag = where.starts_with("--") ? where.substr(2, where.find(' ') - 2) : "";
  const auto value = stage.values.find(flag.substr(0, flag.find(',')));
  return value == stage.values.end() ? stage.line : value->second.line;
}

void check_options(const std::vector<std::string>& arguments) {
  Subcommands subcommands;
  CommonOptions common;
  add_all_subcommands(subcommands);
  add_common_options(subcommands, common);
  const Values v(resolve_arguments(subcommands, arguments).options);
  for (const char* flag : {"reward", "process-reward"})
    if (!v.text(flag).empty()) check_reward_names(v.text(flag), std::string("--") + flag);
}

}  // namespace

void check_stages(const Recipe& recipe, const fs::path& folder) {
  for (const RecipeStage& stage : recipe.stages) {
    try {
      check_options(stage_arguments(recipe, stage, folder));
    } catch (const UserError& error) {
      Blame blame = error.blame();
      const std::string about = blame.where.empty() ? "" : ", " + blame.where;
      blame.where = recipe.path.string() + ":" + std::to_string(line_of(stage, blame.where)) +
                    ", [" + stage.name + "]" + about;
      throw UserError(blame);
    }
  }
}

std::string plan_text(const Recipe& recipe, const fs::path& folder) {
  check_stages(recipe, folder);
  std::string text = "plan of " + recipe.name + " in " + folder.string() + "\n";
  size_t number = 0;
  for (const RecipeStage& stage : recipe.stages) {
    Subcommands subcommands;
    CommonOptions common;
    add_all_subcommands(subcommands);
    add_common_options(subcommands, common);
    const std::vector<std::string> arguments = stage_arguments(recipe, stage, folder);
    const Values v(resolve_arguments(subcommands, arguments).options);
    const Work work = work_of(stage, v);
    text += "\n" + std::to_string(++number) + ". " + stage.name + ": temper " + stage.run + "\n" +
            inputs_line(stage_inputs(recipe, stage, folder));
    if (!work.text.empty()) text += "    works    " + work.text + "\n";
    if (work.trains) {
      if (const auto config = config_of(recipe, stage, v)) text += memory_line(*config, v, work);
    }
    text += "    leaves   " + (folder / stage.out).string() + "\n";
  }
  return text;
}

}  // namespace temper
