#include "cli/run_stage.h"

#include "cli/command_line.h"
#include "core/error.h"

namespace temper {
namespace {

// main()'s view of the arguments.
struct ArgumentVector {
  std::vector<std::string> texts;
  std::vector<char*> pointers;

  ArgumentVector(const std::string& program, const std::vector<std::string>& arguments)
      : texts{program} {
    texts.insert(texts.end(), arguments.begin(), arguments.end());
    for (std::string& text : texts) pointers.push_back(text.data());
  }
  int count() const { return static_cast<int>(pointers.size()); }
};

}  // namespace

std::string program_of(const Invocation& cli, const std::string& subcommand) {
  return cli.command_line.substr(0, cli.command_line.find(" " + subcommand));
}

int run_as_typed(const std::string& program, std::vector<std::string> arguments, Invocation& cli) {
  if (cli.common.device != "auto")
    arguments.insert(arguments.end(), {"--device", cli.common.device});
  if (cli.common.threads > 0)
    arguments.insert(arguments.end(), {"--threads", std::to_string(cli.common.threads)});
  ArgumentVector argv(program, arguments);
  const std::string line = command_line_text(argv.count(), argv.pointers.data());
  cli.log.info("\n$ " + line);
  Subcommands subcommands;
  CommonOptions common;
  add_all_subcommands(subcommands);
  add_common_options(subcommands, common);
  const Command command = read_command_line(argv.count(), argv.pointers.data(), subcommands);
  require(command.kind == Command::Kind::run, "a stage is a subcommand that runs");
  Invocation stage{command.subcommand->options, common, line, cli.interrupt, cli.log, cli.out};
  return command.subcommand->run(stage);
}

Subcommand& resolve_arguments(Subcommands& list, const std::vector<std::string>& arguments) {
  ArgumentVector argv("temper", arguments);
  const Command command = read_command_line(argv.count(), argv.pointers.data(), list);
  require(command.kind == Command::Kind::run, "a stage is a subcommand that runs");
  return *command.subcommand;
}

}  // namespace temper
