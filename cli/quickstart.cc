// temper quickstart: the main job. The tiny R1 chain of docs/recipes/r1-tiny.toml: a small
// DeepSeek-V3 learns multi-step arithmetic from nothing, and teaches a dense model what it learned.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "cli/run_chain.h"
#include "cli/run_stage.h"
#include "cli/subcommands.h"
#include "core/error.h"
#include "core/file.h"
#include "tiny_recipe.h"  // kTinyRecipe, written by CMake

namespace temper {
namespace fs = std::filesystem;
namespace {

struct QuickstartOptions {
  std::string out = "runs/quickstart";
  int64_t seed = 1;
  bool resume = false;
};

// The chain's recipe, beside its stages: `temper r1` takes it from there.
fs::path recipe_path(const QuickstartOptions& o) {
  return fs::path(o.out) / "r1-tiny.toml";
}

void write_recipe(const QuickstartOptions& o) {
  std::string text = kTinyRecipe;
  const std::string line = "\nseed = 1\n";
  const size_t at = text.find(line);
  require(at != std::string::npos, "the recipe sets its seed in a line of its own");
  text.replace(at, line.size(), "\nseed = " + std::to_string(o.seed) + "\n");
  fs::create_directories(o.out);
  write_file_atomically(recipe_path(o), text);
}

bool seed_was_given(const Invocation& cli) {
  const auto& all = cli.options.entries();
  return std::any_of(all.begin(), all.end(), [](const Option& option) {
    return option.flag() == "seed" && option.origin() != OptionOrigin::default_value;
  });
}

Recipe recipe_of(const QuickstartOptions& o, const Invocation& cli) {
  if (fs::exists(o.out) && !o.resume)
    throw UserError({.what = "the folder exists already",
                     .where = o.out,
                     .hint = "--resume goes on with what is in it; or name another with --out"});
  if (!fs::exists(recipe_path(o))) write_recipe(o);
  Recipe recipe = read_recipe(recipe_path(o));
  if (recipe.seed != o.seed && seed_was_given(cli))
    throw UserError({.what = "the chain in this folder has another seed",
                     .where = "--seed",
                     .expected = std::to_string(recipe.seed),
                     .found = std::to_string(o.seed),
                     .hint = "leave --seed out to go on, or name another --out"});
  return recipe;
}

std::string look_inside(const QuickstartOptions& o, const std::string& program) {
  const std::string grpo = (fs::path(o.out) / "reasoning").string();
  const std::string temper = "\n  " + program;
  return "\nlook inside:" + temper + " inspect lineage " + o.out + temper + " inspect " + grpo +
         temper + " inspect curve " + grpo + " --metric reward/mean" + temper +
         " inspect samples " + grpo + " --best 3" + temper + " inspect sql " + grpo +
         " 'SELECT completion, reward FROM samples LIMIT 5'" + temper + " generate --model " +
         grpo + "/model --prompt $'8+7-5+2=?\\n'\n";  // a task ends its line
}

int run_quickstart(const QuickstartOptions& o, Invocation& cli) {
  const Recipe recipe = recipe_of(o, cli);
  const std::string program = program_of(cli, "quickstart");
  if (run_chain(recipe, {.folder = o.out, .from = {}, .until = {}}, "quickstart", cli))
    cli.out << look_inside(o, program);
  else
    cli.log.info("go on with: " + program + " quickstart --resume --out " + o.out);
  return 0;
}

}  // namespace

void add_quickstart(Subcommands& list) {
  auto o = std::make_shared<QuickstartOptions>();
  OptionsTable table;
  table.group("Run");
  table.add("out", &o->out, "folder for the data, the models and the databases").value_name("DIR");
  table.add("seed", &o->seed, "of data, weights and sampling").at_least(0);
  table.add("resume", &o->resume, "go on with what --out holds; begins where there is nothing");
  list.add({.name = "quickstart",
            .about = "train a tiny DeepSeek-V3 from nothing on a verifiable task: the whole R1 "
                     "chain in minutes",
            .options = table,
            .run = [o](Invocation& cli) { return run_quickstart(*o, cli); }});
}

}  // namespace temper
