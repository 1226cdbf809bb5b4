// temper r1: a whole chain of stages from a recipe file.
#include <memory>

#include "cli/r1_plan.h"
#include "cli/run_chain.h"
#include "cli/run_stage.h"

namespace temper {
namespace {

struct R1Command {
  std::string recipe, out, from, until;
  bool dry_run = false;
};

OptionsTable r1_options(R1Command& o) {
  OptionsTable table;
  table.group("Chain");
  table.add("recipe", &o.recipe, "recipe file (docs/r1.md)")
      .value_name("FILE")
      .required()
      .positional();
  table.add("out", &o.out, "folder of the chain; default: runs/NAME, by the recipe's file name")
      .value_name("DIR");
  table.add("from", &o.from, "run this stage and those behind it again").value_name("STAGE");
  table.add("until", &o.until, "stop after this stage").value_name("STAGE");
  table.add("dry-run", &o.dry_run, "check every option and show the plan; nothing is run");
  return table;
}

int run_r1(const R1Command& o, Invocation& cli) {
  const Recipe recipe = read_recipe(o.recipe);
  const std::filesystem::path folder =
      o.out.empty() ? "runs/" + std::filesystem::path(o.recipe).stem().string() : o.out;
  if (o.dry_run) {
    cli.out << plan_text(recipe, folder);
    return 0;
  }
  if (run_chain(recipe, {.folder = folder, .from = o.from, .until = o.until}, "r1", cli))
    cli.log.info("lineage: " + program_of(cli, "r1") + " inspect lineage " + folder.string());
  return 0;
}

}  // namespace

void add_r1(Subcommands& list) {
  auto o = std::make_shared<R1Command>();
  list.add({.name = "r1",
            .about = "a chain of stages from a recipe: SFT, GRPO, rejection sampling, distillation",
            .examples = "  temper r1 docs/recipes/r1-tiny.toml --out runs/r1-tiny\n"
                        "  temper r1 docs/recipes/r1-671b.toml --dry-run\n",
            .options = r1_options(*o),
            .run = [o](Invocation& cli) { return run_r1(*o, cli); }});
}

}  // namespace temper
