#include "cli/run_chain.h"

#include "cli/r1_plan.h"
#include "cli/r1_summary.h"
#include "cli/run_stage.h"
#include "core/file.h"

namespace temper {

bool run_chain(const Recipe& recipe, const ChainOptions& options, const std::string& subcommand,
               Invocation& cli) {
  check_stages(recipe, options.folder);
  Chain chain(recipe, options, program_of(cli, subcommand), cli);
  if (!chain.run()) return false;
  const ChainSummary summary =
      summarise_chain(recipe, options.folder, chain.database(), chain.id());
  const std::filesystem::path picture = options.folder / "curves.svg";
  write_file_atomically(picture, summary.svg);
  cli.out << summary.table << "\ncurves: " << picture.string() << "\n";
  return true;
}

}  // namespace temper
