// The binary: reads the command line, runs one subcommand, turns blame into an exit code.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>

#include "cli/command_line.h"
#include "cli/help.h"
#include "core/device_lost.h"
#include "core/error.h"
#include "core/moment.h"

namespace temper {
namespace {

constexpr int kUserExit = 2, kSystemExit = 1, kContractExit = 70, kInterruptExit = 130;

// A signal handler can reach nothing but static storage: the one such object of the program.
Interrupt interrupt_flag;

// TEMPER_KILL_AT=NAME:COUNT, for tests of resuming (docs/resume.md).
void arm_from_environment() {
  const char* text = std::getenv("TEMPER_KILL_AT");
  if (text == nullptr) return;
  const std::string moment = text;
  const size_t colon = std::min(moment.find(':'), moment.size());
  const std::string count = moment.substr(std::min(colon + 1, moment.size()));
  kill_at_moment(moment.substr(0, colon), count.empty() ? 1 : std::atoll(count.c_str()));
}

// The first signal asks for a stop after the present step; a second one, and the first where nobody
// asks for it (a query, a conversion), ends the program at once.
void on_signal(int signal) {
  interrupt_flag.request();
  std::signal(signal, SIG_DFL);
  if (!interrupt_flag.watched()) std::raise(signal);
}

LogStyle stderr_style(bool quiet) {
  LogStyle style{.terminal = isatty(STDERR_FILENO) == 1, .quiet = quiet};
  winsize size{};
  if (style.terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.width = size.ws_col;
  }
  return style;
}

int run(int argc, char** argv) {
  Subcommands subcommands;
  CommonOptions common;
  add_all_subcommands(subcommands);
  add_common_options(subcommands, common);
  const Command command = read_command_line(argc, argv, subcommands);
  switch (command.kind) {
    case Command::Kind::version:
      std::cout << version_text();
      return 0;
    case Command::Kind::help:
      std::cout << (command.subcommand ? help_text(*command.subcommand)
                                       : overview_text(subcommands, command.group));
      return 0;
    case Command::Kind::print_config:
      std::cout << command.subcommand->options.to_toml();
      return 0;
    case Command::Kind::run:
      break;
  }
  arm_from_environment();
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGXFSZ, SIG_IGN);  // past a limit on files a write fails, with a message
  Logger log(std::cerr, stderr_style(common.quiet));
  const std::string line = command_line_text(argc, argv);
  Invocation invocation{command.subcommand->options, common, line, interrupt_flag, log, std::cout};
  const int code = command.subcommand->run(invocation);
  std::cout.flush();
  if (!std::cout) throw SystemError("writing to stdout failed");
  return code == 0 && interrupt_flag.requested() ? kInterruptExit : code;
}

int report(const char* kind, const std::exception& error, int code) {
  std::cout.flush();
  std::cerr << kind << error.what() << '\n';
  return code;
}

// A refusal of the file system that no part of the program has put in words, with its mend.
int report_refusal(const std::filesystem::filesystem_error& error) {
  if (error.path1().empty()) return report("error: ", error, kSystemExit);
  try {
    errno = error.code().value();
    throw_errno("cannot make or change " + error.path1().string());
  } catch (const SystemError& with_hint) {
    return report("error: ", with_hint, kSystemExit);
  }
}

}  // namespace
}  // namespace temper

int main(int argc, char** argv) {
  using namespace temper;
  try {
    return run(argc, argv);
  } catch (const UserError& error) {
    return report("error: ", error, kUserExit);
  } catch (const ContractError& error) {
    return report("this is a bug in temper, please report it: ", error, kContractExit);
  } catch (const DeviceLost& error) {
    const int code = report("error: ", error, kSystemExit);
    std::cerr << "what a run had committed is whole: with --resume it goes on from its last "
                 "checkpoint\n";
    return code;
  } catch (const std::filesystem::filesystem_error& error) {
    return report_refusal(error);
  } catch (const std::bad_alloc&) {
    std::cerr << "error: out of memory (see ulimit -v and the container's memory limit)\n";
    return kSystemExit;
  } catch (const std::exception& error) {
    return report("error: ", error, kSystemExit);
  }
}
