#include "reward/code/compiler.h"

#include "reward/code/run.h"
#include "reward/text.h"

namespace temper {
namespace {

// "main.cc:3:5: error: ..." of the first line that has one, else the last line.
std::string first_error(std::string_view errors) {
  const size_t at = errors.find("error:");
  if (at != std::string_view::npos) {
    const size_t begin = errors.rfind('\n', at) + 1;  // 0 if it is in the first line
    return shortened(errors.substr(begin, errors.find('\n', at) - begin), 200);
  }
  errors = trimmed(errors);
  const size_t line = errors.rfind('\n');
  return shortened(line == std::string_view::npos ? errors : errors.substr(line + 1), 200);
}

}  // namespace

CompiledProgram compile_cpp(const Sandbox& sandbox, const std::string& compiler,
                            std::string_view source) {
  constexpr RunLimits kLimits{.cpu_seconds = 30,
                              .wall_seconds = 90,
                              .memory_bytes = 2LL << 30,
                              .disk_bytes = 256LL << 20,
                              .output_bytes = 64LL << 20,
                              .threads = 64};
  SandboxProgram program;
  // The output is a pipe, which a linker cannot write: so by way of the private folder. The
  // compiler says what it has to say before the program is written, and nothing after it.
  program.arguments = {"/bin/sh", "-c",
                       "\"$0\" -std=gnu++20 -O2 -pipe -o main main.cc >&2 && exec cat main",
                       compiler};
  program.files = {{"main.cc", source}};
  program.rights = ProcessRights::processes;
  const RunResult run = run_to_end(sandbox, program, "", kLimits);
  CompiledProgram compiled;
  const std::string failure = failure_of(run);
  if (failure.empty()) {
    compiled.executable = sealed_memory_file(run.output);
    return compiled;
  }
  compiled.timeout = run.outcome == RunOutcome::timeout;
  const std::string error = first_error(run.errors);
  compiled.fault = "does not compile: " + (error.empty() ? failure : error);
  return compiled;
}

}  // namespace temper
